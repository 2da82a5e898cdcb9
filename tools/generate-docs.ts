/**
 * Writes the parts of docs/ that are made from the code: `cli.md` (every command's help) and `api-compatibility.md` (every
 * endpoint of Docker's API and what becomes of it here). With `--check` it writes nothing and fails when they are old.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandHelp, groupHelp, topHelp } from '../src/cli/help.ts';
import { commandsIn, COMMANDS, GROUPS } from '../src/cli/registry.ts';
import { containerCreate, containerUpdate } from '../src/daemon/json/container.ts';
import { networkConnect, networkCreate, networkDisconnect } from '../src/daemon/json/network.ts';
import { authConfig, execCreate, execStart, volumeCreate } from '../src/daemon/json/requests.ts';
import type { Shape } from '../src/daemon/json/shape.ts';
import { secretSpec } from '../src/daemon/json/secret.ts';
import { absentRoutes } from '../src/daemon/routes/absent.ts';
import { routeTable } from '../src/daemon/routes/table.ts';

const root = join(import.meta.dirname, '..');
const WIDTH = 100;
const HEAD = '<!-- Made by tools/generate-docs.ts: run `npm run docs` instead of editing. -->\n\n';

interface Endpoint {
  readonly method: string;
  readonly path: string;
  readonly query?: readonly string[];
  readonly body?: readonly string[];
}

/** Fields of request bodies that a shape decodes. A body that is not here is no JSON document of fields. */
const BODIES: Readonly<Record<string, Shape<unknown>>> = {
  'POST /containers/create': containerCreate,
  'POST /containers/{id}/update': containerUpdate,
  'POST /containers/{id}/exec': execCreate,
  'POST /exec/{id}/start': execStart,
  'POST /networks/create': networkCreate,
  'POST /networks/{id}/connect': networkConnect,
  'POST /networks/{id}/disconnect': networkDisconnect,
  'POST /volumes/create': volumeCreate,
  'POST /auth': authConfig,
  'POST /secrets/create': secretSpec,
};

async function cliReference(): Promise<string> {
  const parts = ['# Commands\n', block(topHelp(WIDTH))];
  for (const group of GROUPS) {
    parts.push(`## gantry ${group.name}\n`, block(groupHelp(group)));
    for (const { name, entry } of commandsIn(group.name)) {
      const path = entry.paths.find((known) => known === `${group.name} ${name}`) ?? entry.paths[0]!;
      if (path !== entry.paths.find((known) => known.startsWith(`${group.name} `))) continue;
      parts.push(`### gantry ${path}\n`, block(commandHelp(entry, await entry.load(), path, WIDTH)));
    }
  }
  parts.push('## Commands without a group\n');
  for (const entry of COMMANDS) {
    const path = entry.paths[0]!;
    if (entry.hidden || GROUPS.some(({ name }) => path.startsWith(`${name} `))) continue;
    parts.push(`### gantry ${path}\n`, block(commandHelp(entry, await entry.load(), path, WIDTH)));
  }
  return `${HEAD}${parts.join('\n')}`;
}

function block(text: string): string {
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\`\n`;
}

function apiMatrix(): string {
  const document = JSON.parse(readFileSync(join(root, 'tools/docker-api.json'), 'utf8')) as {
    version: string;
    endpoints: Endpoint[];
  };
  // Nothing is called: the table is only read.
  const nothing: never = new Proxy({}, { get: () => new Proxy({}, { get: () => () => undefined }) }) as never;
  const routes = routeTable(nothing, nothing);
  const keys = (list: readonly { method: string; path: string }[]): Set<string> =>
    new Set(list.map(({ method, path }) => `${method} ${path.replace(/\{\w+\}/g, '{}')}`));
  const absent = keys(absentRoutes());
  const present = keys(routes);
  const sources = globSync('src/daemon/**/*.ts', { cwd: root }).map((file) => readFileSync(join(root, file), 'utf8'));
  const words = new Set(
    sources.flatMap((text) => [...text.matchAll(/'([\w-]+)'/g)].map(([, word]) => word!.toLowerCase())),
  );
  let counts = { done: 0, refused: 0, missing: 0 };
  const rows = document.endpoints.map(({ method, path, query = [], body = [] }) => {
    const key = `${method} ${path.replace(/\{\w+\}/g, '{}')}`;
    const state = !present.has(key) ? 'missing' : absent.has(key) ? 'refused' : 'done';
    counts = { ...counts, [state]: counts[state] + 1 };
    const shape = BODIES[`${method} ${path}`];
    const unread =
      state !== 'done'
        ? []
        : [...query.filter((name) => !words.has(name.toLowerCase())), ...(shape ? dropped(shape, body) : [])];
    return `| \`${method} ${path}\` | ${state} | ${unread.map((name) => `\`${name}\``).join(', ')} |`;
  });
  return `${HEAD}# Docker's API ${document.version}, endpoint by endpoint

Of ${document.endpoints.length} endpoints ${counts.done} are done, ${counts.refused} are refused with words that say why, ${counts.missing} are missing (404). The last column names parameters and fields of requests that are read by nobody here. A field that is read is honoured, or answered with a warning or an error: see [engine-api.md](engine-api.md).

| endpoint | state | not read |
|---|---|---|
${rows.join('\n')}
`;
}

/** Fields that a shape drops: each is decoded alone, with whatever value it takes. */
function dropped(shape: Shape<unknown>, fields: readonly string[]): string[] {
  return fields.filter((field) => {
    const path = field.split('.');
    const values: unknown[] = ['x', 1, true, {}, [], ['x'], [{}], [1, 1], { x: 'y' }, [['x']]];
    return !values.some((value) => {
      try {
        return holds(shape.decode(nested(path, value), ''), path);
      } catch {
        return false;
      }
    });
  });
}

function nested(path: readonly string[], value: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return value;
  const inner = nested(rest, value);
  return name.endsWith('[]') ? { [name.slice(0, -2)]: [inner] } : { [name]: inner };
}

function holds(value: unknown, path: readonly string[]): boolean {
  const [name, ...rest] = path;
  if (name === undefined) return true;
  const key = name.replace(/\[\]$/, '');
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return false;
  const inner = (value as Record<string, unknown>)[key];
  return holds(name.endsWith('[]') ? (inner as unknown[])[0] : inner, rest);
}

const check = process.argv.includes('--check');
for (const [name, text] of [
  ['cli.md', await cliReference()],
  ['api-compatibility.md', apiMatrix()],
] as const) {
  const file = join(root, 'docs', name);
  if (!check) writeFileSync(file, text);
  else if (readFileSync(file, 'utf8') !== text) {
    console.error(`docs/${name} is older than the code: run npm run docs`);
    process.exitCode = 1;
  }
}
