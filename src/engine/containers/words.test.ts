import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER_RUN } from '../../state/containers.ts';
import { checkContainerName, generateName } from '../names.ts';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';
import { parseSignal } from './signals.ts';
import { humanDuration, statusText } from './status-text.ts';

test('humanDuration() words a duration as Docker does', () => {
  const second = 1000;
  const hour = 3600 * second;
  const words = [0.5, 1, 47, 61, 119, 120, 3599].map((seconds) => humanDuration(seconds * second));
  assert.deepEqual(words, [
    'Less than a second',
    '1 second',
    '47 seconds',
    'About a minute',
    'About a minute',
    '2 minutes',
    '59 minutes',
  ]);
  const longer = [1, 1.6, 47, 49, 24 * 14, 24 * 60, 24 * 365 * 2].map((hours) => humanDuration(hours * hour));
  assert.deepEqual(longer, ['About an hour', '2 hours', '47 hours', '2 days', '2 weeks', '2 months', '2 years']);
});

test('statusText() says what a container is about', () => {
  const nowMs = Date.parse('2026-01-01T00:03:00Z');
  const up = { ...NEVER_RUN, status: 'running', startedAt: '2026-01-01T00:00:00Z' } as const;
  assert.equal(statusText(up, nowMs), 'Up 3 minutes');
  assert.equal(
    statusText({ ...up, health: { Status: 'starting', FailingStreak: 0, Log: [] } }, nowMs),
    'Up 3 minutes (health: starting)',
  );
  assert.equal(statusText({ ...up, status: 'paused' }, nowMs), 'Up 3 minutes (Paused)');
  const exited = { ...up, status: 'exited', exitCode: 3, finishedAt: '2026-01-01T00:02:55.5Z' } as const;
  assert.equal(statusText(exited, nowMs), 'Exited (3) 4 seconds ago');
  assert.equal(statusText(NEVER_RUN, nowMs), 'Created');
});

test('parseSignal() takes names and numbers', () => {
  assert.deepEqual(['TERM', 'sigkill', '15', 'SIGRTMIN+3', 'rtmax'].map(parseSignal), [15, 9, 15, 37, 64]);
  assert.throws(() => parseSignal('FOO'), { message: 'invalid signal: FOO' });
  assert.throws(() => parseSignal('0'), { message: 'invalid signal: 0' });
  assert.throws(() => parseSignal('99'), { message: 'the linux daemon does not support signal 99' });
});

test('DetachScanner finds the keys across reads and passes on what only looked like them', () => {
  const scanner = new DetachScanner(parseDetachKeys(undefined));
  assert.deepEqual(scanner.scan(Uint8Array.of(97, 16)), { pass: Uint8Array.of(97), detached: false });
  assert.deepEqual(scanner.scan(Uint8Array.of(98)), { pass: Uint8Array.of(16, 98), detached: false });
  scanner.scan(Uint8Array.of(16));
  assert.deepEqual(scanner.scan(Uint8Array.of(16)), { pass: Uint8Array.of(16), detached: false });
  assert.deepEqual(scanner.scan(Uint8Array.of(17, 99)), { pass: Uint8Array.of(), detached: true });
  assert.deepEqual([...parseDetachKeys('ctrl-@,a,ctrl-_')], [0, 97, 31]);
  assert.throws(() => parseDetachKeys('shift-x'), { code: 'invalid-argument' });
});

test('container names', () => {
  assert.equal(checkContainerName('/web'), 'web');
  assert.throws(() => checkContainerName('a'), {
    message: 'Invalid container name (a), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed',
  });
  assert.match(
    generateName(() => false),
    /^[a-z]+_[a-z]+$/,
  );
  let asked = 0;
  assert.match(
    generateName(() => ++asked < 8),
    /^[a-z]+_[a-z]+\d+$/,
  );
});
