import assert from 'node:assert/strict';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type Ended, runInProcess } from '../../cli/in-process.ts';
import { caseGroups, type ModelCase, readCases, readRecorded, writeFiles } from './case-file.ts';
import { DIFFERENCES } from './differences.ts';

const home = process.cwd();
after(() => process.chdir(home));

/** Runs lines of a case in a directory that holds its files; the directory's name is masked in what they say. */
async function inItsDirectory(
  item: ModelCase,
  work: (run: (args: readonly string[]) => Promise<Ended>) => Promise<void>,
): Promise<void> {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'model-')));
  const mask = (text: string): string =>
    text.replaceAll(directory, '<dir>').replaceAll(basename(directory).toLowerCase(), '<name>');
  try {
    writeFiles(item, directory);
    process.chdir(directory);
    await work(async (args) => {
      const { code, stdout, stderr } = await runInProcess(['compose', ...args], {
        env: { HOME: '/home/user', PATH: process.env['PATH'], ...item.env },
      });
      return { code, stdout: mask(stdout), stderr: mask(stderr) };
    });
  } finally {
    process.chdir(home);
    rmSync(directory, { recursive: true });
  }
}

for (const group of caseGroups()) {
  describe(group, () => {
    const recorded = readRecorded(group);
    for (const item of readCases(group)) {
      test(item.name, () =>
        inItsDirectory(item, async (run) => {
          const theirs = recorded.get(item.name);
          assert.ok(theirs, 'this case is not recorded: run tests/compose/model/record.ts');
          const other = DIFFERENCES[`${group}: ${item.name}`];
          const ours = await run(item.args);
          const fails = other?.fails ?? theirs.code !== 0;
          assert.equal(ours.code !== 0, fails, ours.stderr || ours.stdout);
          if (fails) {
            assert.ok(item.errors.length > 0, `say what the error must be: ${ours.stderr}`);
            assert.equal(ours.stdout, '', 'a failure prints nothing');
          } else assert.equal(ours.stdout, other?.stdout ?? theirs.stdout, ours.stderr);
          for (const text of [...item.errors, ...item.warnings]) assert.ok(ours.stderr.includes(text), ours.stderr);
          if (theirs.hashes !== '' && !other)
            assert.equal((await run([...item.args, '--hash', '*'])).stdout, theirs.hashes);
        }),
      );
    }
  });
}

test('every difference belongs to a case', () => {
  const names = new Set(caseGroups().flatMap((group) => readCases(group).map((item) => `${group}: ${item.name}`)));
  for (const name of Object.keys(DIFFERENCES)) assert.ok(names.has(name), name);
});
