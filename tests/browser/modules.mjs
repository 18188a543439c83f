// The page's modules as Node takes them. They end in .js, which Node before 20.19 takes for a module only where a
// package.json says so.
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { pathToFileURL } from 'node:url';

const page = new URL('../../examples/conference/page/', import.meta.url);

const place = await mkdtemp(path.join(tmpdir(), 'page-'));
await cp(page, place, { recursive: true });
await writeFile(path.join(place, 'package.json'), '{ "type": "module" }');
after(() => rm(place, { recursive: true }));

export const load = name => import(pathToFileURL(path.join(place, name)));
