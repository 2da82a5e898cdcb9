import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve, sep } from 'node:path';
import type { Cli } from '../cli.ts';
import { CommandError } from '../command.ts';
import type { Lab, LabStep } from './lab.ts';

type RunStep = Extract<LabStep, { kind: 'run' }>;

export interface LabOptions {
  /** Called before each command; resolves when it may go on. */
  readonly pause: () => Promise<void>;
  /** Stop at the first command that does something else than the lab says. */
  readonly strict: boolean;
}

/** Walks through a lab: prints its words and pictures, writes its files, runs its commands and shows what they print. */
export async function runLab(cli: Cli, lab: Lab, options: LabOptions): Promise<void> {
  const work = mkdtempSync(join(tmpdir(), `gantry-lab-${lab.name}-`));
  try {
    const run = new LabRun(cli, work, options);
    const left = [...lab.steps];
    try {
      for (let step = left.shift(); step; step = left.shift()) await run.step(step);
    } catch (error) {
      for (const step of left) if (step.kind === 'run' && step.cleanup) await run.cleanUp(step);
      throw error;
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

class LabRun {
  readonly #cli: Cli;
  readonly #work: string;
  readonly #options: LabOptions;
  readonly #path: string;

  constructor(cli: Cli, work: string, options: LabOptions) {
    this.#cli = cli;
    this.#work = join(work, 'lab');
    this.#options = options;
    this.#path = join(work, 'bin');
    mkdirSync(this.#work);
    mkdirSync(this.#path);
    // `gantry`, and for what is copied from elsewhere `docker`, are this program
    for (const name of ['gantry', 'docker']) {
      writeFileSync(join(this.#path, name), `#!/bin/sh\nexec ${quote(cli.self.launcher)} "$@"\n`);
      chmodSync(join(this.#path, name), 0o755);
    }
  }

  async step(step: LabStep): Promise<void> {
    const { colors } = this.#cli;
    const print = (text: string): void => this.#cli.print(text);
    if (step.kind === 'heading') print(`\n${colors ? `\x1b[1m${step.text}\x1b[0m` : step.text}\n`);
    else if (step.kind === 'text') print(`${step.text}\n`);
    else if (step.kind === 'picture') print(`${indent(step.text)}\n`);
    else if (step.kind === 'file') {
      const path = resolve(this.#work, step.path);
      if (!path.startsWith(this.#work + sep))
        throw new CommandError(`the lab names a file outside its folder: ${step.path}`);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, step.content);
      print(`${step.path}:\n${indent(step.content.trimEnd())}\n`);
    } else {
      for (const line of step.script.split('\n')) print(colors ? `\x1b[36m$ ${line}\x1b[0m` : `$ ${line}`);
      await this.#options.pause();
      const ended = await this.#shell(step.script);
      print('');
      this.#judge(step, ended);
    }
  }

  async cleanUp(step: RunStep): Promise<void> {
    await this.#shell(step.script);
  }

  #judge(step: RunStep, { code, output }: { code: number; output: string }): void {
    const wrong = [
      ...(code === step.exit ? [] : [`its exit code is ${code}, not ${step.exit}`]),
      ...step.expect
        .filter((pattern) => !pattern.test(output))
        .map((pattern) => `nothing in its output is like ${String(pattern)}`),
    ];
    if (wrong.length === 0) return;
    const words = `${step.script.split('\n').at(-1)}: ${wrong.join('; ')}`;
    if (this.#options.strict) throw new CommandError(words);
    this.#cli.warn(`Not as the lab says. ${words}`);
  }

  /** The engine of this command line is the engine of the lab's commands. */
  #environment(): NodeJS.ProcessEnv {
    const { env, globals, given } = this.#cli;
    return {
      ...env,
      ...(given.has('host') && { GANTRY_HOST: globals.host.at(-1) }),
      ...(given.has('context') && { GANTRY_HOST: undefined, DOCKER_HOST: undefined, DOCKER_CONTEXT: globals.context }),
      PATH: `${this.#path}:${env['PATH'] ?? '/usr/bin:/bin'}`,
    };
  }

  #shell(script: string): Promise<{ code: number; output: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn('sh', ['-c', script], {
        cwd: this.#work,
        env: this.#environment(),
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let output = '';
      const take = (chunk: Buffer): void => {
        output = (output + chunk.toString('utf8')).slice(-(1 << 20));
        this.#cli.io.stdout.write(chunk);
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      child.once('error', reject);
      child.once('close', (code) => resolve({ code: code ?? 137, output }));
    });
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '    ');
}
