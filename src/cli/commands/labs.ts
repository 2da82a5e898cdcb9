import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { errorMessage } from '../../base/errors.ts';
import type { Cli } from '../cli.ts';
import { command, CommandError } from '../command.ts';
import { bool } from '../flag.ts';
import { type Lab, parseLab } from '../labs/lab.ts';
import { runLab } from '../labs/run-lab.ts';
import { fitRows, layOut } from '../output/table.ts';

export const labs = command({
  usage: '[ls]\nrun [OPTIONS] LAB...\nshow LAB',
  description: `Learn by doing: each lab is a short document whose commands are run before your eyes, on this engine, in a folder of its own.

LAB is a number or a name. Images come from Docker Hub; where that cannot be reached, labs/hub/up makes stand-ins.`,
  examples: `gantry labs                 # what there is
gantry labs run 1           # step by step: Enter goes on
gantry labs run --yes 1 2   # without stopping; fails when something is not as the lab says`,
  flags: {
    yes: bool('Do not wait before each command, and fail when one does something else than the lab says', {
      short: 'y',
    }),
  },
  args: { min: 0 },
  async candidates(cli, words) {
    const about = { ls: 'List the labs', run: 'Walk through labs', show: 'Show a lab' };
    const verb = words.find((word) => !word.startsWith('-'));
    if (verb === undefined) return Object.entries(about).map(([word, text]) => ({ word, about: text }));
    if (verb === 'ls') return [];
    const all = readLabs(join(cli.self.home, 'labs'));
    return all.map(({ number, title }) => ({ word: String(number), about: title }));
  },
  async run(cli, { flags, args }) {
    const all = readLabs(join(cli.self.home, 'labs'));
    const [verb = 'ls', ...names] = args;
    if (verb === 'ls' && names.length === 0) {
      const rows = [
        ['LAB', 'NAME', 'ABOUT', 'IMAGES'],
        ...all.map((lab) => [lab.number, lab.name, lab.title, lab.images.join(' ')]),
      ];
      const { stdout } = cli.io;
      stdout.write(layOut(stdout.isTTY ? fitRows(rows, stdout.columns, new Set([0, 1]), new Set([2])) : rows, 3));
      cli.print('\nRun one: gantry labs run 1');
      return 0;
    }
    if ((verb !== 'run' && verb !== 'show') || names.length === 0) {
      throw new CommandError('usage: gantry labs, gantry labs run LAB..., or gantry labs show LAB');
    }
    for (const lab of names.map((name) => find(all, name))) {
      if (verb === 'show') show(cli, lab);
      else await walk(cli, lab, flags.yes);
    }
    return 0;
  },
});

function readLabs(directory: string): Lab[] {
  if (!existsSync(directory)) throw new CommandError(`the labs are not there: ${directory}`);
  return readdirSync(directory)
    .filter((name) => /^\d+-.+\.md$/.test(name))
    .sort()
    .map((name) => parseLab(name, readFileSync(join(directory, name), 'utf8')));
}

function find(all: readonly Lab[], name: string): Lab {
  const lab = all.find((known) => known.name === name || Number(known.number) === Number(name));
  if (!lab) throw new CommandError(`no lab ${JSON.stringify(name)}: gantry labs lists them`);
  return lab;
}

function show(cli: Cli, lab: Lab): void {
  cli.print(`${lab.title}\n`);
  for (const step of lab.steps) {
    if (step.kind === 'run') cli.print(`${step.script.replace(/^/gm, '$ ')}\n`);
    else if (step.kind === 'file') cli.print(`${step.path}:\n${step.content.replace(/^(?=.)/gm, '    ')}`);
    else cli.print(`${step.text}\n`);
  }
}

/** What the engine makes by itself. */
const BUILT_IN = /^(?:busybox|hello-gantry)(?:$|:)/;

/** An image that can be had from nowhere is told before the lab begins: one command after the other would fail. */
async function needImages(cli: Cli, lab: Lab): Promise<void> {
  const { images } = await cli.client();
  for (const name of lab.images.filter((image) => !BUILT_IN.test(image))) {
    try {
      await images.inspect(name).catch(() => images.distribution(name, {}));
    } catch (error) {
      throw new CommandError(
        `lab ${Number(lab.number)} needs the image ${name}, which is not here and cannot be had: ${errorMessage(error)}
Where Docker Hub cannot be reached, ${join(cli.self.home, 'labs/hub/up')} makes stand-ins on this machine.`,
      );
    }
  }
}

async function walk(cli: Cli, lab: Lab, yes: boolean): Promise<void> {
  await needImages(cli, lab);
  cli.print(`\nLab ${Number(lab.number)}: ${lab.title}\n`);
  const interactive = cli.io.stdinIsTTY && !yes;
  const lines = interactive ? createInterface({ input: cli.io.stdin(), output: process.stdout }) : undefined;
  try {
    await runLab(cli, lab, {
      strict: yes,
      pause: async () => void (await lines?.question('  Enter runs this, Ctrl-C ends the lab ')),
    });
  } finally {
    lines?.close();
  }
}
