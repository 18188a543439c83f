// Every word of the page, in French and in English. Elements name theirs in `data-t` (text), `data-t-label`
// (aria-label) and `data-t-placeholder`; scripts call `t`. `{name}` in a text stands for a value.

import { recall, remember } from './memory.js';

export const TEXTS = {
  en: {
    title: 'Meetings',
    language: 'Français',
    help: 'Help and shortcuts',
    close: 'Close',
    cancel: 'Cancel',
    guest: 'Guest',

    doorTitle: 'Meet, see and hear each other',
    doorIntro: 'In your browser, without an account.',
    yourName: 'Your name',
    codeOrLink: 'Code or link of a room',
    codeHelp: 'From the invitation you received. Leave it empty to create a room.',
    join: 'Join the room',
    or: 'or',
    wantLobby: 'Guests wait until I admit them',
    create: 'Create a room',
    youModerate: 'You are a moderator of this meeting.',
    refused: 'There is no such room any more, it is full or locked, or the invitation has ended. Check the code, or create a room.',

    lobbyTitle: 'Please wait, somebody will let you in',
    lobbyModerated: 'The moderators have been told that you are here.',
    lobbyUnmoderated: 'No moderator is here yet. You are let in once one has come and admits you.',
    stopWaiting: 'Stop waiting',

    phaseDevices: 'Asking for camera and microphone…',
    phaseConnecting: 'Connecting to the server…',
    phaseWaiting: 'Waiting to be admitted.',
    phaseJoined: 'Connecting audio and video…',
    phaseConnected: 'Connected.',
    phaseUnstable: 'The connection is unstable…',
    phaseLost: 'The server cannot be reached. Trying again…',
    phaseBlocked: 'Audio and video do not get through to the server. A firewall may block UDP. Trying again…',
    phaseEnded: 'The server ended the call. Trying again…',
    phaseShut: 'The meeting cannot be entered at the moment. Trying again…',

    closedDeclined: 'A moderator did not let you in.',
    closedRemoved: 'A moderator took you out of the meeting.',
    closedEnded: 'The meeting has ended.',
    closedElsewhere: 'You have joined this meeting from another tab.',

    roomTitle: 'The meeting',
    stage: 'Pictures',
    controls: 'Your controls',
    microphone: 'Microphone',
    camera: 'Camera',
    isOn: ': on',
    isOff: ': off',
    shareScreen: 'Share screen',
    stopSharing: 'Stop sharing',
    raiseHand: 'Raise hand',
    lowerHand: 'Lower hand',
    panel: 'Panel',
    waitingCount: '{count} waiting',
    leave: 'Leave',
    soundOn: 'Turn the sound on',
    you: '{name} (you)',
    microphoneOff: '(microphone off)',
    handUp: '(hand raised, number {place})',
    screenOf: 'Screen of {name}',
    youShare: 'The others see your screen.',

    panelTitle: 'Side panel',
    tabs: 'What the panel shows',
    people: 'People',
    meeting: 'Meeting',
    waitingTitle: 'Waiting to be let in',
    admit: 'Admit',
    admitOne: 'Admit {name}',
    admitAll: 'Admit all',
    decline: 'Refuse',
    declineOne: 'Refuse {name}',
    declineAll: 'Refuse all',
    inTheRoom: 'In the room ({count})',
    moderator: 'Moderator',
    actionsFor: 'What to do about {name}',
    askToMute: 'Ask to mute',
    askAllToMute: 'Ask everybody to mute',
    lowerTheirHand: 'Lower the hand',
    makeModerator: 'Make a moderator',
    remove: 'Remove',
    shownName: 'Name that others see',
    changeName: 'Change',

    inviteTitle: 'Invite others',
    inviteHelp: 'Whoever has this link can come, as long as there is the room.',
    copyLink: 'Copy the link',
    copied: 'The link is copied.',
    selected: 'The link is selected: copy it with your keyboard.',
    doorsTitle: 'Who comes in',
    optionLobby: 'Guests wait until a moderator admits them',
    optionLocked: 'Locked: nobody new comes in',
    guestsTitle: 'Invitations that end',
    guestsHelp: 'A link of its own for guests from outside, which you can take back.',
    duration: 'It is good for',
    hour: 'one hour',
    day: 'one day',
    week: 'one week',
    month: '30 days',
    uses: 'How many guests (empty: any number)',
    direct: 'Leads past the lobby',
    invite: 'Make an invitation',
    ticket: 'Until {date}',
    ticketUses: '{count} left',
    ticketDirect: 'past the lobby',
    copyTicket: 'Copy the invitation until {date}',
    copy: 'Copy',
    revoke: 'Take back',
    revokeTicket: 'Take back the invitation until {date}',
    endTitle: 'End',
    endForAll: 'End the meeting for all',

    chat: 'Chat',
    chatLog: 'What was said in writing',
    chatText: 'Your message',
    chatHelp: 'Enter sends it, Shift and Enter begin a new line.',
    chatSend: 'Send',
    chatSave: 'Save the chat',
    chatFile: 'chat-{date}.txt',
    chatSaid: '{name} writes: {text}',
    chatUnread: '{count} unread',
    chatLong: 'That is too long for the chat. Put long texts into the notes, or send a link.',
    chatOften: 'That was too quick. Your message was not sent.',
    chatClosed: 'There is no connection at the moment. Your message was not sent.',
    notes: 'Notes',
    notesText: 'What all write together (plain text or Markdown)',
    notesWriters: 'Who is writing where',
    notesWriter: '{name} is writing in line {line}',
    notesSave: 'Save the notes',
    notesFile: 'notes-{date}.md',
    notesLong: 'That is too long for the notes, which take 100,000 characters in all.',
    notesRefused: 'The notes are full, or your change could not be made: you see them as they are for all.',
    undo: 'Undo',
    redo: 'Redo',

    askedBy: '{name} asks you to mute your microphone.',
    muteNow: 'Mute',
    notNow: 'Not now',
    confirmRemove: 'Take {name} out of the meeting? From then on, guests wait until a moderator admits them.',
    confirmEnd: 'End the meeting for everybody? Its chat and notes vanish with it: save what you want to keep first.',
    confirmLeave: 'Leave the meeting? Its chat and notes vanish with it: save what you want to keep first.',
    confirmDecline: 'Refuse everybody who waits?',
    deniedModerators: 'That is for moderators.',
    deniedFull: 'There is no place left, or there are too many invitations.',
    deniedOwner: 'Who created the meeting cannot be taken out.',

    cameIn: '{name} has come in.',
    wentOut: '{name} has left.',
    raised: '{name} raises a hand.',
    waits: '{name} waits to be let in.',
    shares: '{name} shares a screen.',
    nowModerator: 'You are a moderator now.',
    lobbyIsOn: 'Guests wait to be admitted now.',
    lobbyIsOff: 'Guests come in without waiting now.',
    isLocked: 'The meeting is locked.',
    isUnlocked: 'The meeting is open again.',

    helpIntro: 'Everything can be reached with the Tab key. While you are not typing, these keys help:',
    helpMicrophone: 'Microphone on or off',
    helpCamera: 'Camera on or off',
    helpHand: 'Raise or lower your hand',
    helpPanel: 'Open or close the panel',
    helpHelp: 'This help',
    useShortcuts: 'Use these keys',

    micBlocked: 'Your browser does not allow the microphone.',
    micMissing: 'No microphone was found.',
    micBusy: 'The microphone is in use by another program.',
    micFailed: 'The microphone could not be opened ({reason}).',
    cameraBlocked: 'Your browser does not allow the camera.',
    cameraMissing: 'No camera was found.',
    cameraBusy: 'The camera is in use by another program.',
    cameraFailed: 'The camera could not be opened ({reason}).',
    insecure: 'Browsers give camera and microphone only to pages from localhost or over HTTPS.',
    soundOnly: 'You take part with sound only.',
    pictureOnly: 'You take part without sound.',
    listenOnly: 'You take part as a listener.',
    screenFailed: 'The screen could not be shared ({reason}).',
  },
  fr: {
    title: 'Réunions',
    language: 'English',
    help: 'Aide et raccourcis',
    close: 'Fermer',
    cancel: 'Annuler',
    guest: 'Invité',

    doorTitle: 'Se réunir, se voir et s’entendre',
    doorIntro: 'Dans votre navigateur, sans compte.',
    yourName: 'Votre nom',
    codeOrLink: 'Code ou lien d’une salle',
    codeHelp: 'Celui de l’invitation reçue. Laissez vide pour créer une salle.',
    join: 'Entrer dans la salle',
    or: 'ou',
    wantLobby: 'Les invités attendent que je les admette',
    create: 'Créer une salle',
    youModerate: 'Vous animez cette réunion.',
    refused: 'Cette salle n’existe plus, elle est pleine ou verrouillée, ou l’invitation a expiré. Vérifiez le code ou créez une salle.',

    lobbyTitle: 'Merci de patienter, on va vous faire entrer',
    lobbyModerated: 'Les animateurs savent que vous êtes là.',
    lobbyUnmoderated: 'Aucun animateur n’est encore là. Vous entrerez quand l’un d’eux vous admettra.',
    stopWaiting: 'Ne plus attendre',

    phaseDevices: 'Demande d’accès à la caméra et au micro…',
    phaseConnecting: 'Connexion au serveur…',
    phaseWaiting: 'En attente d’admission.',
    phaseJoined: 'Connexion du son et de l’image…',
    phaseConnected: 'Connecté.',
    phaseUnstable: 'La connexion est instable…',
    phaseLost: 'Le serveur est injoignable. Nouvel essai…',
    phaseBlocked: 'Le son et l’image n’atteignent pas le serveur. Un pare-feu bloque peut-être UDP. Nouvel essai…',
    phaseEnded: 'Le serveur a mis fin à l’appel. Nouvel essai…',
    phaseShut: 'La réunion n’est pas accessible pour le moment. Nouvel essai…',

    closedDeclined: 'Un animateur ne vous a pas admis.',
    closedRemoved: 'Un animateur vous a retiré de la réunion.',
    closedEnded: 'La réunion est terminée.',
    closedElsewhere: 'Vous avez rejoint cette réunion dans un autre onglet.',

    roomTitle: 'La réunion',
    stage: 'Images',
    controls: 'Vos commandes',
    microphone: 'Micro',
    camera: 'Caméra',
    isOn: ' : activé',
    isOff: ' : coupé',
    shareScreen: 'Partager l’écran',
    stopSharing: 'Cesser le partage',
    raiseHand: 'Lever la main',
    lowerHand: 'Baisser la main',
    panel: 'Volet',
    waitingCount: '{count} en attente',
    leave: 'Quitter',
    soundOn: 'Activer le son',
    you: '{name} (vous)',
    microphoneOff: '(micro coupé)',
    handUp: '(main levée, numéro {place})',
    screenOf: 'Écran de {name}',
    youShare: 'Les autres voient votre écran.',

    panelTitle: 'Volet latéral',
    tabs: 'Contenu du volet',
    people: 'Participants',
    meeting: 'Réunion',
    waitingTitle: 'En attente d’admission',
    admit: 'Admettre',
    admitOne: 'Admettre {name}',
    admitAll: 'Admettre tout le monde',
    decline: 'Refuser',
    declineOne: 'Refuser {name}',
    declineAll: 'Refuser tout le monde',
    inTheRoom: 'Dans la salle ({count})',
    moderator: 'Animateur',
    actionsFor: 'Actions pour {name}',
    askToMute: 'Demander de couper le micro',
    askAllToMute: 'Demander à tous de couper le micro',
    lowerTheirHand: 'Baisser la main',
    makeModerator: 'Nommer animateur',
    remove: 'Retirer',
    shownName: 'Nom affiché aux autres',
    changeName: 'Changer',

    inviteTitle: 'Inviter',
    inviteHelp: 'Quiconque a ce lien peut venir, tant que la salle existe.',
    copyLink: 'Copier le lien',
    copied: 'Le lien est copié.',
    selected: 'Le lien est sélectionné : copiez-le au clavier.',
    doorsTitle: 'Qui peut entrer',
    optionLobby: 'Les invités attendent qu’un animateur les admette',
    optionLocked: 'Verrouillée : personne d’autre n’entre',
    guestsTitle: 'Invitations à durée limitée',
    guestsHelp: 'Un lien propre aux invités extérieurs, que vous pouvez retirer.',
    duration: 'Valable pendant',
    hour: 'une heure',
    day: 'un jour',
    week: 'une semaine',
    month: '30 jours',
    uses: 'Nombre d’invités (vide : sans limite)',
    direct: 'Entrée sans passer par l’attente',
    invite: 'Créer une invitation',
    ticket: 'Jusqu’au {date}',
    ticketUses: 'reste {count}',
    ticketDirect: 'sans attente',
    copyTicket: 'Copier l’invitation valable jusqu’au {date}',
    copy: 'Copier',
    revoke: 'Retirer',
    revokeTicket: 'Retirer l’invitation valable jusqu’au {date}',
    endTitle: 'Fin',
    endForAll: 'Terminer la réunion pour tous',

    chat: 'Discussion',
    chatLog: 'Messages échangés',
    chatText: 'Votre message',
    chatHelp: 'Entrée l’envoie, Maj et Entrée commencent une nouvelle ligne.',
    chatSend: 'Envoyer',
    chatSave: 'Enregistrer la discussion',
    chatFile: 'discussion-{date}.txt',
    chatSaid: '{name} écrit : {text}',
    chatUnread: '{count} non lus',
    chatLong: 'C’est trop long pour la discussion. Placez les longs textes dans le texte partagé, ou envoyez un lien.',
    chatOften: 'C’était trop rapide. Votre message n’a pas été envoyé.',
    chatClosed: 'Il n’y a pas de connexion pour le moment. Votre message n’a pas été envoyé.',
    notes: 'Texte partagé',
    notesText: 'Ce que tous écrivent ensemble (texte brut ou Markdown)',
    notesWriters: 'Qui écrit à quel endroit',
    notesWriter: '{name} écrit à la ligne {line}',
    notesSave: 'Enregistrer le texte',
    notesFile: 'notes-{date}.md',
    notesLong: 'C’est trop long pour le texte partagé, qui prend 100 000 caractères en tout.',
    notesRefused: 'Le texte est plein, ou votre modification n’a pas pu être faite : vous le voyez tel qu’il est pour tous.',
    undo: 'Annuler',
    redo: 'Rétablir',

    askedBy: '{name} vous demande de couper votre micro.',
    muteNow: 'Couper',
    notNow: 'Pas maintenant',
    confirmRemove: 'Retirer {name} de la réunion ? Les invités attendront ensuite qu’un animateur les admette.',
    confirmEnd: 'Terminer la réunion pour tout le monde ? La discussion et le texte partagé disparaissent avec elle : enregistrez d’abord ce que vous voulez garder.',
    confirmLeave: 'Quitter la réunion ? La discussion et le texte partagé disparaissent avec elle : enregistrez d’abord ce que vous voulez garder.',
    confirmDecline: 'Refuser tous ceux qui attendent ?',
    deniedModerators: 'C’est réservé aux animateurs.',
    deniedFull: 'Il n’y a plus de place, ou il y a trop d’invitations.',
    deniedOwner: 'La personne qui a créé la réunion ne peut pas être retirée.',

    cameIn: '{name} a rejoint la réunion.',
    wentOut: '{name} a quitté la réunion.',
    raised: '{name} lève la main.',
    waits: '{name} attend d’être admis.',
    shares: '{name} partage un écran.',
    nowModerator: 'Vous êtes maintenant animateur.',
    lobbyIsOn: 'Les invités attendent désormais d’être admis.',
    lobbyIsOff: 'Les invités entrent désormais sans attendre.',
    isLocked: 'La réunion est verrouillée.',
    isUnlocked: 'La réunion est de nouveau ouverte.',

    helpIntro: 'Tout est accessible avec la touche Tab. En dehors de la saisie, ces touches aident :',
    helpMicrophone: 'Activer ou couper le micro',
    helpCamera: 'Activer ou couper la caméra',
    helpHand: 'Lever ou baisser la main',
    helpPanel: 'Ouvrir ou fermer le volet',
    helpHelp: 'Cette aide',
    useShortcuts: 'Utiliser ces touches',

    micBlocked: 'Votre navigateur n’autorise pas le micro.',
    micMissing: 'Aucun micro n’a été trouvé.',
    micBusy: 'Le micro est utilisé par un autre programme.',
    micFailed: 'Le micro n’a pas pu être ouvert ({reason}).',
    cameraBlocked: 'Votre navigateur n’autorise pas la caméra.',
    cameraMissing: 'Aucune caméra n’a été trouvée.',
    cameraBusy: 'La caméra est utilisée par un autre programme.',
    cameraFailed: 'La caméra n’a pas pu être ouverte ({reason}).',
    insecure: 'Les navigateurs ne donnent accès à la caméra et au micro qu’aux pages de localhost ou en HTTPS.',
    soundOnly: 'Vous participez avec le son seulement.',
    pictureOnly: 'Vous participez sans le son.',
    listenOnly: 'Vous participez en écoute seule.',
    screenFailed: 'L’écran n’a pas pu être partagé ({reason}).',
  },
};

const listeners = new Set();

// `?lang=fr` first, then what was chosen on the page, then what the browser asks for.
function preferred() {
  const wishes = [new URLSearchParams(location.search).get('lang'), recall('language'), ...navigator.languages];
  const known = wishes.map(wish => wish?.slice(0, 2).toLowerCase()).find(wish => wish in TEXTS);
  return known ?? 'en';
}

let language = 'en';

export function t(key, values = {}) {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function dateText(date) {
  return date.toLocaleString(language, { dateStyle: 'medium', timeStyle: 'short' });
}

export function timeText(date) {
  return date.toLocaleTimeString(language, { timeStyle: 'short' });
}

// Puts the words into what is below `root`.
export function translate(root) {
  for (const element of root.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll('[data-t-label]')) {
    element.setAttribute('aria-label', t(element.dataset.tLabel));
  }
  for (const element of root.querySelectorAll('[data-t-placeholder]')) {
    element.placeholder = t(element.dataset.tPlaceholder);
  }
}

// `show` is called whenever the language has changed.
export function onLanguage(show) {
  listeners.add(show);
}

function speak(chosen) {
  language = chosen;
  document.documentElement.lang = language;
  document.title = t('title');
  translate(document);
  // The button says in the other language that there is one.
  document.getElementById('language').lang = language === 'fr' ? 'en' : 'fr';
  listeners.forEach(show => show());
}

export function startLanguage() {
  document.getElementById('language').addEventListener('click', () => {
    const other = language === 'fr' ? 'en' : 'fr';
    remember('language', other);
    speak(other);
  });
  speak(preferred());
}
