/**
 * `npm run test:vm`: tests in a virtual machine, with what most hosts have and a container or an old kernel has not:
 * cgroup v2 under systemd, AppArmor, a user's own systemd. Not a part of `npm test`: it makes a machine (some minutes,
 * once), then boots it in seconds. By qemu and KVM; where they cannot be had by User Mode Linux, a kernel that is a
 * program (its making takes half an hour of a processor, once). At the end there is a table of all files; it and all
 * output before it are in .gantry/vm/last-run.txt, too.
 *
 *   npm run test:vm                                   what tells hosts apart (files below)
 *   npm run test:vm -- tests/network/*.test.ts        others
 *   npm run test:vm -- --suite sid                    newer tools, and a newer kernel where qemu runs it
 *   npm run test:vm -- --command './gantry info'      anything, as root in the checkout
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createWriteStream, globSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeJobDisk } from './job-disk.ts';
import { bestWay, runMachine, type Way } from './machine.ts';
import { ResultReader, table } from './report.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Where a host's kernel and its systemd show. */
const FILES = ['tests/{system,network,security,rootless,clients,compose}/**/*.test.ts', 'tests/vm/*.test.ts'];

const NAMES: Readonly<Record<Way, string>> = {
  kvm: 'qemu',
  uml: 'User Mode Linux, with one processor',
  tcg: 'qemu’s emulation, tens of times as slow',
};

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      suite: { type: 'string', default: 'bookworm' },
      memory: { type: 'string', default: '4096' },
      command: { type: 'string' },
      way: { type: 'string' },
      timeout: { type: 'string', default: '5400' },
      'file-timeout': { type: 'string', default: '900' },
    },
  });
  const best = bestWay();
  const way = (values.way ?? best.way) as Way;
  if (way !== 'kvm') console.error(`Not by qemu and KVM, for ${best.reason || 'you said so'}: by ${NAMES[way]}.`);
  // what is wrong is said by them
  if (!setUp('setup-vm.sh', values.suite)) return 1;
  if (way === 'uml' && !setUp('setup-uml.sh')) return 1;
  const directory = join(root, '.gantry/vm');
  const job = join(directory, `job-${process.pid}.ext4`);
  const files = values.command === undefined ? testFiles(positionals.length > 0 ? positionals : FILES) : [];
  const script = values.command ?? testScript(files, Number(values['file-timeout']));
  makeJobDisk({ root, file: job, script });
  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end.abort());
  const seconds = Number(values.timeout);
  const limit = setTimeout(() => {
    console.error(`\nThe machine is stopped: ${seconds} s are over.`);
    end.abort();
  }, seconds * 1000);
  const kept = createWriteStream(join(directory, 'last-run.txt'));
  const show = (text: string): void => {
    process.stdout.write(text);
    kept.write(text);
  };
  const reader = new ResultReader(show);
  try {
    const status = await runMachine(
      {
        image: join(directory, values.suite),
        userModeLinux: join(directory, 'linux'),
        job,
        directory: join(directory, `run-${process.pid}`),
        memoryMiB: Number(values.memory),
        cpus: 2,
        signal: end.signal,
      },
      way,
      (text) => reader.read(text),
    );
    if (status === undefined)
      console.error(`The machine ended before its work: ${directory}/run-${process.pid}/console.log`);
    return status ?? 1;
  } finally {
    clearTimeout(limit);
    reader.end();
    if (files.length > 0) show(`\n${table(files, reader.results)}`);
    kept.end();
    execFileSync('rm', ['-f', job]);
  }
}

function setUp(script: string, ...args: string[]): boolean {
  return spawnSync('sh', [join(root, 'tools', script), ...args], { stdio: 'inherit' }).status === 0;
}

function testFiles(patterns: readonly string[]): string[] {
  const files = globSync([...patterns], { cwd: root }).sort();
  if (files.length === 0) throw new Error(`no such test: ${patterns.join(' ')}`);
  return files;
}

function testScript(files: readonly string[], seconds: number): string {
  return [
    'echo "$(. /etc/os-release; echo "$PRETTY_NAME"), Linux $(uname -r), $(stat -fc %T /sys/fs/cgroup), AppArmor $(cat /sys/module/apparmor/parameters/enabled)"',
    `node tests/vm/in-machine.ts ${seconds} ${files.map((file) => `'${file}'`).join(' ')}`,
  ].join('\n');
}

process.exitCode = await main();
