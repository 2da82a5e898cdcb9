/**
 * Records what Docker's Compose says to every case: `node tests/compose/model/record.ts /path/of/docker-compose [group]`.
 * No engine is needed. Writes tests/compose/model/recorded/.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { caseGroups, readCases, type Recorded, writeFiles, writeRecorded } from './case-file.ts';

const [program, only] = process.argv.slice(2);
if (!program) throw new Error('usage: node tests/compose/model/record.ts DOCKER-COMPOSE [GROUP]');
for (const group of caseGroups()) {
  if (only && group !== only) continue;
  const found = new Map<string, Recorded>();
  for (const item of readCases(group)) {
    if (found.has(item.name)) throw new Error(`${group}: two cases are called ${item.name}`);
    const directory = mkdtempSync(join(tmpdir(), 'model-'));
    try {
      writeFiles(item, directory);
      const run = (args: readonly string[]): { code: number; stdout: string; stderr: string } => {
        const ended = spawnSync(program, args, {
          cwd: directory,
          env: { HOME: '/home/user', PATH: process.env['PATH'], ...item.env },
          encoding: 'utf8',
          timeout: 10_000,
          killSignal: 'SIGKILL',
        });
        const mask = (text: string): string =>
          text.replaceAll(directory, '<dir>').replaceAll(/model-\w{6}/gi, '<name>');
        return { code: ended.status ?? 137, stdout: mask(ended.stdout), stderr: mask(ended.stderr) };
      };
      const { code, stdout, stderr } = run(item.args);
      const hashed =
        code === 0 &&
        ![...item.files.values()].some((text) => text.includes('env_file')) &&
        !stdout.includes('<dir>') &&
        !stdout.includes('<name>');
      found.set(item.name, {
        code,
        stdout,
        stderr: code === 0 ? '' : stderr.replaceAll(/time="[^"]*" /g, ''),
        hashes: hashed && item.args.at(-1) === 'config' ? run([...item.args, '--hash', '*']).stdout : '',
      });
      if ((code !== 0) !== item.errors.length > 0) console.log(`${group}: ${item.name}: exit ${code}: ${stderr}`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
  writeRecorded(group, found);
  console.log(`${group}: ${found.size}`);
}
