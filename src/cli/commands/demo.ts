import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cli } from '../cli.ts';
import { command, CommandError } from '../command.ts';
import { freePort } from '../demo/free-port.ts';
import { openRegistryDoor, type RegistryDoor } from '../demo/registry-door.ts';
import { bool, int } from '../flag.ts';

const DEBIAN = 'demo-debian:local';
const BASE = 'demo-node:local';
const APP = 'docker-demo-app:1.0';
const NAME = 'docker-demo';
const LABEL = 'gantry.demo';

export const demo = command({
  usage: '[OPTIONS]',
  description: `Build, run, look into and remove a small web app (examples/docker-demo). Each command is shown before it is run.

The base image is made from Debian's packages, with the Node that runs this command copied into it, so no image registry
is needed. It is kept for the next time, as ${BASE}.`,
  flags: {
    keep: bool('Leave the container and the image at the end'),
    offline: bool('Do not ask the package registry: use the stand-in for express'),
    port: int('Port of this machine for the app; another one when it is taken', { initial: 3000 }),
  },
  args: { min: 0, max: 0 },
  async run(cli, { flags }) {
    const tour = new Tour(cli, join(cli.self.home, 'examples', 'docker-demo'));
    const door = flags.offline ? undefined : await openRegistryDoor(cli.env);
    try {
      await tour.prepare(door);
      await tour.build(door);
      await tour.show(await freePort(flags.port));
      if (!flags.keep) await tour.cleanUp();
      tour.next(flags.keep);
      return 0;
    } catch (error) {
      await tour.abandon();
      throw error;
    } finally {
      door?.close();
    }
  },
});

class Tour {
  readonly #cli: Cli;
  readonly #app: string;

  constructor(cli: Cli, app: string) {
    this.#cli = cli;
    this.#app = app;
    if (!fs.existsSync(join(app, 'Dockerfile'))) throw new CommandError(`the demo's app is not there: ${app}`);
  }

  /** The base with Node, unless an earlier demo left one, and nothing else of an earlier demo. */
  async prepare(door: RegistryDoor | undefined): Promise<void> {
    await this.#sweep();
    if (await this.#has(BASE)) {
      this.#say(`The base image ${BASE} is there from an earlier demo.`);
      return;
    }
    if (!(await this.#has(DEBIAN))) {
      this.#say('A base image. No image registry is needed: it is made from the packages of Debian.');
      await this.#run('image', 'bootstrap', 'debian:bookworm-slim', '--include', 'libstdc++6', '-t', DEBIAN);
    }
    this.#say(
      `Node for it: the one that runs this command (${process.version}), copied${door ? ', with npm from the package registry' : ''}.`,
    );
    const context = fs.mkdtempSync(join(tmpdir(), 'gantry-demo-'));
    try {
      fs.copyFileSync(join(this.#app, 'base', 'Dockerfile'), join(context, 'Dockerfile'));
      fs.copyFileSync(process.execPath, join(context, 'node'));
      fs.chmodSync(join(context, 'node'), 0o755);
      fs.mkdirSync(join(context, 'npm'));
      if (door) await door.fetchPackage('npm', join(context, 'npm'));
      else fs.writeFileSync(join(context, 'npm', 'README'), 'npm was not to be had when this image was made.\n');
      await this.#run('build', '-t', BASE, '--build-arg', `BASE=${DEBIAN}`, context);
    } finally {
      fs.rmSync(context, { recursive: true, force: true });
    }
  }

  async build(door: RegistryDoor | undefined): Promise<void> {
    this.#say('The app: its Dockerfile installs express and copies the source.');
    if (door) {
      this.#say(
        `(Packages come through ${door.url}, a door to this machine's own package registry for the time of the demo.)`,
      );
      const registry = [
        '--build-arg',
        `npm_config_registry=${door.url}`,
        '--build-arg',
        'npm_config_replace_registry_host=always',
      ];
      try {
        await this.#run('build', '-t', APP, '--network', 'host', ...registry, this.#app);
        return;
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        this.#say('`npm install` did not succeed in the build.');
      }
    } else {
      this.#say('The package registry was not asked, or does not answer.');
    }
    this.#say('So the app is built with the stand-in for express in examples/docker-demo/vendor (it is not express).');
    await this.#run('build', '-t', APP, '-f', join(this.#app, 'Dockerfile.offline'), this.#app);
  }

  async show(port: number): Promise<void> {
    if (port !== 3000) this.#say(`Port 3000 is not free here, so the app gets port ${port}.`);
    await this.#run('images');
    await this.#run('run', '-d', '--name', NAME, '--label', `${LABEL}=1`, '-p', `${port}:3000`, APP);
    await this.#fetch(port);
    await this.#run('ps');
    await this.#run('logs', NAME);
    this.#say('A second process in the same container:');
    await this.#run('exec', NAME, 'ls', '-la', '/app');
    this.#say('Stopped and started again, it is the same container:');
    await this.#run('stop', NAME);
    await this.#run('start', NAME);
    await this.#fetch(port);
  }

  async cleanUp(): Promise<void> {
    this.#say('And away with it:');
    await this.#run('stop', NAME);
    await this.#run('rm', NAME);
    await this.#run('rmi', APP);
  }

  /** After a failure: what was made goes, quietly. */
  async abandon(): Promise<void> {
    await this.#sweep().catch(() => {}); // the failure itself is told
  }

  next(kept: boolean): void {
    this.#say(
      `Done. ${kept ? `The container ${NAME} still runs.` : `${BASE} stays for the next time (gantry rmi ${BASE} ${DEBIAN} removes it).`} What to try next:`,
    );
    for (const line of [
      `gantry run -it --rm ${BASE} sh          # a shell in a container of its own`,
      `gantry run --rm ${BASE} node -p 6*7     # one command`,
      'gantry run --help                            # with examples',
      'docker context create gantry --docker host=unix:///run/gantry/gantry.sock   # the docker command against this engine',
    ]) {
      this.#cli.print(`  ${line}`);
    }
  }

  #say(text: string): void {
    const { colors } = this.#cli;
    this.#cli.print(`\n${colors ? '\x1b[1m' : ''}${text}${colors ? '\x1b[0m' : ''}`);
  }

  async #run(...words: string[]): Promise<void> {
    const { colors } = this.#cli;
    this.#cli.print(
      `\n${colors ? '\x1b[36m' : ''}$ gantry ${words.map(shellWord).join(' ')}${colors ? '\x1b[0m' : ''}`,
    );
    const code = await this.#cli.again(words);
    if (code !== 0) throw new CommandError(`\nThe demo ends here: gantry ${words[0]} ended with exit code ${code}.`);
  }

  async #fetch(port: number): Promise<void> {
    const url = `http://localhost:${port}`;
    this.#say(`Its page, from ${url}:`);
    let failure: unknown;
    for (const deadline = Date.now() + 15_000; Date.now() < deadline; await delay(100)) {
      try {
        const response = await fetch(url, { signal: AbortSignal.timeout(3000) });
        const text = await response.text();
        if (!response.ok) throw new CommandError(`${url} answered with status ${response.status}`);
        this.#cli.print(this.#cli.clean(text.trim()));
        return;
      } catch (error) {
        failure = error; // it may still be starting
      }
    }
    throw new CommandError(`nothing answers at ${url}: ${(failure as Error).message}. Look at: gantry logs ${NAME}`);
  }

  async #has(image: string): Promise<boolean> {
    const client = await this.#cli.client();
    return (await client.images.list({ filters: new Map([['reference', [image]]]) })).length > 0;
  }

  /** Containers of an interrupted demo carry its label; nobody else's are touched. */
  async #sweep(): Promise<void> {
    const client = await this.#cli.client();
    for (const { Id } of await client.containers.list({ all: true, filters: new Map([['label', [LABEL]]]) })) {
      await client.containers.remove(Id, { force: true, volumes: true });
    }
  }
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
