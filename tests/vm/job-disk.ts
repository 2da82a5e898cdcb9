import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface JobDisk {
  /** The checkout. */
  readonly root: string;
  /** Where the disk is made; what is there is replaced. */
  readonly file: string;
  /** Words of a shell, run in the checkout. */
  readonly script: string;
}

/** Of the checkout, what its commands and tests need; the folders that a build or a setup made are taken where links lead. */
const TREE = ['bin', 'bench', 'docs', 'examples', 'labs', 'src', 'tests', 'tools', 'node_modules'];
const FILES = ['gantry', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.types.json', 'README.md'];
const SETUP = ['toolchain', 'docker-cli', 'docker-registry', 'docker-plugins', 'dockerd', 'arm64', 'packages'];

/** Makes a disk with the checkout as it is, and a job. Needs root, and mkfs.ext4. */
export function makeJobDisk({ root, file, script }: JobDisk): void {
  mkdirSync(dirname(file), { recursive: true });
  const stage = mkdtempSync(join(dirname(file), 'stage-'));
  chmodSync(stage, 0o755);
  try {
    const copy = (from: string, to: string): void => {
      mkdirSync(dirname(join(stage, to)), { recursive: true });
      execFileSync('cp', ['-a', '--reflink=auto', from, join(stage, to)]);
    };
    // most of it is never written to: linked, not copied
    const link = (from: string, to: string): void => {
      mkdirSync(dirname(join(stage, to)), { recursive: true });
      const sameDisk = statSync(from).dev === statSync(stage).dev;
      execFileSync('cp', [sameDisk ? '-al' : '-a', from, join(stage, to)]);
    };
    for (const name of TREE) link(join(root, name), name);
    for (const name of FILES) copy(join(root, name), name);
    const own = join(root, '.gantry');
    for (const name of SETUP)
      if (existsSync(join(own, name))) link(realpathSync(join(own, name)), join('.gantry', name));
    link(realpathSync(join(root, 'dist')), 'dist');
    execFileSync('ln', ['-s', nodeBelow(own), join(stage, '.gantry/node')]);
    const docker = dockerCommand();
    if (!existsSync(join(own, 'docker-cli')) && docker !== undefined) copy(docker, '.gantry/docker-cli/usr/bin/docker');
    mkdirSync(join(stage, '.vm'));
    writeFileSync(join(stage, '.vm/job'), `${PREPARE}\n${script}\n`);
    rmSync(file, { force: true });
    execFileSync('truncate', ['-s', '8G', file]);
    execFileSync('mkfs.ext4', ['-q', '-F', '-L', 'gantry', '-O', '^has_journal', '-N', '200000', '-d', stage, file]);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** Which of the toolchain's programs is Node, as a link in `.gantry` says it; a Node of the system is copied there. */
function nodeBelow(own: string): string {
  const node = realpathSync(join(own, 'node'));
  const toolchain = existsSync(join(own, 'toolchain')) ? realpathSync(join(own, 'toolchain')) : undefined;
  if (toolchain !== undefined && node.startsWith(`${toolchain}/`)) return `toolchain${node.slice(toolchain.length)}`;
  throw new Error(`${node} is this system's: the machine needs the one that tools/setup.sh fetches`);
}

function dockerCommand(): string | undefined {
  try {
    return realpathSync(execFileSync('sh', ['-c', 'command -v docker'], { encoding: 'utf8' }).trim());
  } catch {
    return undefined;
  }
}

const PREPARE = `
cd /gantry
touch dist/stamp
export PATH=/gantry/.gantry:$PATH:/gantry/.gantry/docker-cli/usr/bin HOME=/root LANG=C.UTF-8
export GANTRY_HOST=unix:///nonexistent.sock`;
