import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CASES } from './cases.ts';
import { type ApiResult, runCase } from './run-case.ts';

const expected = JSON.parse(readFileSync(new URL('expected.json', import.meta.url), 'utf8')) as unknown[];
const peer = process.env['GANTRY_TEST_DOCKERD'];

test(
  'what was recorded is what dockerd answers',
  { skip: peer ? false : 'no dockerd to compare with: set GANTRY_TEST_DOCKERD to the path of its socket' },
  async () => {
    const answers: (ApiResult & { name: string })[] = [];
    for (const one of CASES) {
      answers.push({ name: one.name, ...(await runCase(one, peer!, `api${process.pid}`)) });
    }
    assert.deepEqual(answers, expected);
  },
);
