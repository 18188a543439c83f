// What tests of the page stand on: a browser's profile for each page, and servers, that are gone afterwards; and what
// every page is held to.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Visitor, startServer } from './visitors.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

// Neither sound nor picture: only the page is looked at.
export const QUIET = '?audio=0&video=0';
export const PHONE = { width: 360, height: 740 };
export const DESKTOP = { width: 1100, height: 760 };

// A test with pages of a server that is there already, without errors on any; `place` gives browser and server. The body
// gets a function that opens an address.
export function onPages(place, name, body) {
  test(name, { timeout: 240_000 }, async t => {
    const { browser, server } = place();
    const pages = [];
    const open = async (url, options = {}) => {
      const context = await browser.newContext({ viewport: DESKTOP, ...options });
      const page = await context.newPage();
      pages.push(page);
      page.errors = [];
      page.on('pageerror', error => page.errors.push(`${error}`));
      await page.goto(url);
      return page;
    };
    try {
      await body(open, t);
      assert.deepEqual(pages.flatMap(({ errors }) => errors), [], 'no errors on any page');
    } catch (error) {
      t.diagnostic(`the server's log:\n${server.log()}`);
      throw error;
    } finally {
      await Promise.all(pages.map(page => page.context().close()));
    }
  });
}

// A test with a server of its own and visitors, on whose pages there are no errors; `browser` gives the browser. The
// body gets the server, `arrive(name, url, prepare)` for a visitor and `serve(port)` for another server.
export function onVisitors(browser, name, body) {
  test(name, { timeout: 180_000 }, async t => {
    const servers = [await startServer()];
    const visitors = [];
    const arrive = async (who, url, prepare) => {
      const context = await browser().newContext({ viewport: DESKTOP });
      visitors.push(await Visitor.arrive(context, who, url, prepare));
      return visitors.at(-1);
    };
    const serve = async port => {
      servers.push(await startServer(port));
      return servers.at(-1);
    };
    try {
      await body({ server: servers[0], arrive, serve });
      assert.deepEqual(visitors.flatMap(({ errors }) => errors), [], 'no errors on any page');
    } catch (error) {
      for (const visitor of visitors) {
        t.diagnostic(`${visitor.name}'s page says: ${await visitor.status()} ${visitor.errors}`);
      }
      for (const server of servers) t.diagnostic(`the server's log:\n${server.log()}`);
      throw error;
    } finally {
      await Promise.all(visitors.map(({ page }) => page.context().close()));
      await Promise.all(servers.map(server => server.stop()));
    }
  });
}

// Presses a button of a visitor's page.
export const press = ({ page }, name) => page.getByRole('button', { name, exact: true }).click();

// Opens the panel with one of its tabs. What its button is called tells what is new as well.
export async function openTab(visitor, tab) {
  if (!await visitor.page.locator('#panel').isVisible()) await visitor.page.locator('#panel-button').click();
  await visitor.page.getByRole('tab', { name: tab }).click();
}

// Everything axe-core has rules for, the best practices as well, and nothing wider than the screen: on a desk and on a
// phone, in light and dark. The page's context needs `bypassCSP`.
export async function assertAccessible(page, where) {
  if (!await page.evaluate(() => 'axe' in window)) await page.addScriptTag({ path: axe });
  for (const viewport of [DESKTOP, PHONE]) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      const look = `${where}, ${viewport.width} px, ${colorScheme}`;
      const violations = await page.evaluate(async () => {
        // Notices fade in and go by themselves.
        await Promise.all(document.getAnimations().map(({ finished }) => finished));
        const { violations } = await axe.run(document);
        return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(', ')}`);
      });
      assert.deepEqual(violations, [], look);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.equal(wide, false, `${look}: scrolls sideways`);
    }
  }
  await page.setViewportSize(DESKTOP);
}
