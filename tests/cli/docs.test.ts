/** Every `gantry …` that the documents, the labs and the help's examples write down is a command that there is, with flags that it has. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Flags } from '../../src/cli/flag.ts';
import { GLOBAL_FLAGS } from '../../src/cli/global.ts';
import { COMMANDS, findCommand, findGroup } from '../../src/cli/registry.ts';
import { SUBCOMMANDS } from '../../src/cli/commands/compose/compose.ts';
import { PROJECT_FLAGS } from '../../src/cli/commands/compose/context.ts';

const root = join(import.meta.dirname, '..', '..');
/** Started by the launcher, not by the command line: their flags are their own programs'. */
const PROGRAMS = /^(?:daemon|registry (?:serve|prune))\b/;

interface Written {
  readonly place: string;
  readonly line: string;
}

function written(): Written[] {
  const files = [
    'README.md',
    ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`),
    ...readdirSync(join(root, 'labs')).map((name) => `labs/${name}`),
    'examples/docker-demo/README.md',
  ].filter((name) => name.endsWith('.md') && name !== 'docs/cli.md');
  return files.flatMap((name) => {
    const text = readFileSync(join(root, name), 'utf8');
    const blocks = [...text.matchAll(/^```(?:sh|console)?\n([^]*?)^```/gm)].flatMap(([, block]) => block!.split('\n'));
    const inline = [...text.replaceAll(/^```[^]*?^```/gm, '').matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!);
    return [...blocks, ...inline].map((line) => ({ place: name, line }));
  });
}

/** The words of a simple command that is `gantry`; undefined for everything else. */
function wordsOf(line: string): string[] | undefined {
  const match = /^(?:\$ |sudo )?(?:\.\/)?gantry (.+)$/.exec(line.trim());
  if (!match) return undefined;
  const command = match[1]!.replace(/\s+#.*$/, '').split(/\s(?:\||&&|>|<|;|2>)|[;]|\$\(|…/)[0]!;
  return [...command.matchAll(/"[^"]*"|'[^']*'|\S+/g)].map(([word]) => word);
}

/** Takes flags off the front, or from everywhere; gives the arguments. */
function takeFlags(flags: Flags, words: readonly string[], interspersed: boolean): string[] {
  const shorts = new Map(
    Object.values(flags).flatMap((flag) => (flag.short === undefined ? [] : [[flag.short, flag]])),
  );
  const args: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === '--') return [...args, ...words.slice(i + 1)];
    if (!/^-[-a-zA-Z]/.test(word)) {
      if (!interspersed) return [...args, ...words.slice(i)];
      args.push(word);
      continue;
    }
    if (word.startsWith('--')) {
      const name = word.slice(2).split('=')[0]!;
      const flag = flags[name] ?? (name === 'help' ? { implied: 'true' } : undefined);
      assert.ok(flag, `no flag --${name}`);
      if (flag.implied === undefined && !word.includes('=')) i++;
      continue;
    }
    for (let at = 1; at < word.length; at++) {
      const flag = shorts.get(word[at]!);
      assert.ok(flag, `no flag -${word[at]}`);
      if (flag.implied !== undefined) continue;
      if (at === word.length - 1) i++;
      break;
    }
  }
  return args;
}

async function check(words: readonly string[]): Promise<void> {
  const [first, ...rest] = takeFlags(GLOBAL_FLAGS, words, false);
  if (first === undefined || PROGRAMS.test([first, ...rest].join(' '))) return;
  const group = findGroup(first);
  if (group && (rest[0] === undefined || /^[A-Z[<]/.test(rest[0]))) return;
  const name = group ? `${first} ${rest[0]}` : first;
  if (/[|,/]/.test(name)) {
    // `system install|uninstall`
    const heads = name.split(' ');
    for (const last of heads.at(-1)!.split(/[|,/]/)) await check([...heads.slice(0, -1), last]);
    return;
  }
  const entry = findCommand(name);
  assert.ok(entry, `no command ${name}`);
  const command = await entry.load();
  const args = takeFlags(command.flags, group ? rest.slice(1) : rest, command.interspersed !== false);
  if (name !== 'compose') return;
  const [outer, ...more] = takeFlags(PROJECT_FLAGS, rest, false);
  const nested = `${outer} ${more[0]}`;
  const [sub, line] = Object.hasOwn(SUBCOMMANDS, nested) ? [nested, more.slice(1)] : [outer, more];
  if (sub === undefined || /^[A-Z[<]/.test(sub)) return;
  for (const one of sub.split(/[|,/]/)) {
    assert.ok(Object.hasOwn(SUBCOMMANDS, one), `no command compose ${one} (${args.length} words)`);
    const spec = await SUBCOMMANDS[one]!.load();
    takeFlags(spec.flags, line, spec.interspersed !== false);
  }
}

test('commands in the documents exist, with their flags', async () => {
  const wrong: string[] = [];
  let count = 0;
  for (const { place, line } of written()) {
    const words = wordsOf(line);
    if (!words) continue;
    count++;
    await check(words).catch((error: Error) => wrong.push(`${place}: ${line.trim()}: ${error.message}`));
  }
  assert.deepEqual(wrong, []);
  assert.ok(count > 100, `${count} commands seen`);
});

test('commands in the examples of the help exist, with their flags', async () => {
  const wrong: string[] = [];
  for (const entry of COMMANDS) {
    const { examples = '' } = await entry.load();
    for (const line of examples.split('\n')) {
      const words = wordsOf(line);
      if (words) await check(words).catch((error: Error) => wrong.push(`${entry.paths[0]}: ${line}: ${error.message}`));
    }
  }
  assert.deepEqual(wrong, []);
});
