// What the page uses of Yjs.
export {
  Doc, UndoManager, applyUpdate, createAbsolutePositionFromRelativePosition, createRelativePositionFromTypeIndex,
  decodeRelativePosition, encodeRelativePosition, encodeStateAsUpdate, encodeStateVector,
} from 'yjs';
