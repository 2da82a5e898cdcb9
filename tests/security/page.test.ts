/** docs/security.md tells no test that is not there, and none that nobody runs. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(`${root}docs/security.md`, 'utf8');
const rows = page.split('\n').filter((line) => /^\| \d/.test(line));
const lastCell = (row: string): string => row.split('|').at(-2)!.trim();

test('each attack of the catalogue has a line, and each line a test, or says that there is none', () => {
  const numbers = rows.flatMap((row) =>
    row
      .split('|')[1]!
      .split(',')
      .flatMap((part) => {
        const [first, last = first] = part.trim().split('–').map(Number);
        return Array.from({ length: last! - first! + 1 }, (_, index) => first! + index);
      }),
  );
  assert.deepEqual(
    numbers.toSorted((a, b) => a - b),
    Array.from({ length: 102 }, (_, index) => index + 1),
  );
  for (const row of rows) assert.match(lastCell(row), /tests?\/|src\/|^none|^–$/, row);
});

test('every file that it names is there, and is run by npm test or npm run test:faults', () => {
  const suite = new Set(globSync(['src/**/*.test.ts', 'tests/**/*.test.ts'], { cwd: root }));
  const faults = readFileSync(`${root}tests/faults/main.ts`, 'utf8');
  const named = [...new Set([...page.matchAll(/(?:tests|src)\/[\w./-]*\w/g)].map(([name]) => name))];
  assert.ok(named.length > 40, `${named.length}`);
  for (const name of named) {
    assert.ok(existsSync(`${root}${name}`), name);
    if (statSync(`${root}${name}`).isDirectory()) {
      assert.ok(
        [...suite].some((file) => file.startsWith(`${name}/`)),
        `${name} has no test`,
      );
      continue;
    }
    const run =
      suite.has(name) || (name.startsWith('tests/faults/') && faults.includes(name.slice('tests/faults/'.length)));
    assert.ok(run, `${name} is run by nothing`);
  }
});

test('what it says of a test is in its title', () => {
  for (const row of rows) {
    for (const [, file, titles] of lastCell(row).matchAll(/((?:tests|src)\/[\w./-]*\w) \(((?:"[^"]+"(?:, )?)+)\)/g)) {
      const text = readFileSync(`${root}${file}`, 'utf8');
      for (const [, title] of titles!.matchAll(/"([^"]+)"/g)) assert.ok(text.includes(title!), `${file}: ${title}`);
    }
  }
  // those of hostile images, containers and builds have the numbers of their lines
  for (const file of ['tests/security/container.test.ts', 'tests/security/build.test.ts']) {
    const text = readFileSync(`${root}${file}`, 'utf8');
    for (const row of rows.filter((line) => lastCell(line).includes(file))) {
      for (const number of row
        .split('|')[1]!
        .split(',')
        .map((part) => part.trim())) {
        assert.match(text, new RegExp(`[( ]${number}[,);]`), `${file} names no test for ${number}`);
      }
    }
  }
});
