import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from './command.ts';
import { bool, bytes, cpus, duration, filters, int, list, map, string, strings, uint16 } from './flag.ts';
import { parseLine } from './parse.ts';

const FLAGS = {
  detach: bool('', { short: 'd' }),
  env: list('', { short: 'e' }),
  filter: filters('', { short: 'f' }),
  interactive: bool('', { short: 'i' }),
  interval: duration(''),
  label: map(''),
  memory: bytes('', { short: 'm' }),
  name: string(''),
  cpus: cpus(''),
  old: bool('', { deprecated: 'use something else' }),
  publish: list('', { short: 'p' }),
  proxy: bool('', { initial: true }),
  tail: int('', { short: 'n' }),
  tags: strings(''),
  tty: bool('', { short: 't' }),
  weight: uint16(''),
};

function read(...line: string[]): ReturnType<typeof parseLine> {
  return parseLine(FLAGS, line, { interspersed: true });
}

function complaint(...line: string[]): string {
  try {
    read(...line);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    assert.equal(error.code, 125);
    return error.message;
  }
  return assert.fail('it was taken');
}

test('values in every way they can be written', () => {
  assert.equal(read('--name', 'x').values['name'], 'x');
  assert.equal(read('--name=x=y').values['name'], 'x=y');
  assert.equal(read('--name=').values['name'], '');
  assert.deepEqual(read('-p80:80', '-p', '1:1', '-p=2:2').values['publish'], ['80:80', '1:1', '2:2']);
  assert.deepEqual(read('--tags', 'a,b', '--tags=c').values['tags'], ['a', 'b', 'c']);
  assert.deepEqual(
    read('--label', 'a=b', '--label', 'a=c', '--label', '__proto__=x').values['label'],
    new Map([
      ['a', 'c'],
      ['__proto__', 'x'],
    ]),
  );
  assert.deepEqual(
    read('-f', 'Status = exited', '-f', 'status=dead').values['filter'],
    new Map([['status', ['exited', 'dead']]]),
  );
});

test('a value that looks like a flag is a value', () => {
  assert.equal(read('--name', '--tty').values['name'], '--tty');
  assert.equal(read('--name', '--').values['name'], '--');
});

test('clusters of switches, the last with a value', () => {
  const { values } = read('-itde', 'A=1');
  assert.deepEqual(
    [values['interactive'], values['tty'], values['detach'], values['env']],
    [true, true, true, ['A=1']],
  );
  assert.deepEqual(read('-itp80:80').values['publish'], ['80:80']);
});

test('switches', () => {
  assert.equal(read('--tty=false').values['tty'], false);
  assert.equal(read('-t=0').values['tty'], false);
  assert.equal(read('--proxy=F').values['proxy'], false);
  assert.deepEqual([...read('--tty=false').given], ['tty']);
  assert.equal(read().values['proxy'], true);
});

test('where flags end', () => {
  assert.deepEqual(read('a', '-t', 'b', '--', '-x', '--y').args, ['a', 'b', '-x', '--y']);
  const command = parseLine(FLAGS, ['-t', 'image', '-t', '--name', 'x'], { interspersed: false });
  assert.deepEqual(command.args, ['image', '-t', '--name', 'x']);
  assert.deepEqual(parseLine(FLAGS, ['-', '-t'], { interspersed: false }).args, ['-', '-t']);
});

test('help, and flags of the past', () => {
  assert.equal(read('--help').help, true);
  assert.equal(read('-h').help, true);
  assert.deepEqual(read('--old').deprecated, ['old']);
});

test('complaints in Docker’s words', () => {
  assert.equal(complaint('--foo'), 'unknown flag: --foo');
  assert.match(complaint('--memroy'), /^unknown flag: --memroy\n\nDid you mean --memory\?$/);
  assert.equal(complaint('-tZ'), "unknown shorthand flag: 'Z' in -Z");
  assert.equal(complaint('--name'), 'flag needs an argument: --name');
  assert.equal(complaint('-tp'), "flag needs an argument: 'p' in -p");
  assert.equal(
    complaint('--tty=maybe'),
    'invalid argument "maybe" for "-t, --tty" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
  );
  assert.equal(complaint('-m', 'abc'), `invalid argument "abc" for "-m, --memory" flag: invalid size: 'abc'`);
  assert.equal(
    complaint('-n', '1x'),
    'invalid argument "1x" for "-n, --tail" flag: strconv.ParseInt: parsing "1x": invalid syntax',
  );
  assert.equal(
    complaint('--weight', '-1'),
    'invalid argument "-1" for "--weight" flag: strconv.ParseUint: parsing "-1": invalid syntax',
  );
  assert.equal(complaint('--interval', '5'), 'invalid argument "5" for "--interval" flag: time: invalid duration "5"');
  assert.equal(
    complaint('--cpus', '1.0000000001'),
    'invalid argument "1.0000000001" for "--cpus" flag: value is too precise',
  );
  assert.equal(
    complaint('-f', 'x'),
    'invalid argument "x" for "-f, --filter" flag: bad format of filter (expected name=value)',
  );
  assert.equal(complaint('---x'), 'bad flag syntax: ---x');
});

test('sizes, times and shares', () => {
  assert.equal(read('-m', '1.5g').values['memory'], 1.5 * 2 ** 30);
  assert.equal(read('-m', '64MiB').values['memory'], 64 * 2 ** 20);
  assert.equal(read('-m', '10b').values['memory'], 10);
  assert.equal(read('--interval', '1h2m3.5s').values['interval'], 3_723_500_000_000);
  assert.equal(read('--interval', '250ms').values['interval'], 250_000_000);
  assert.equal(read('--cpus', '.5').values['cpus'], 500_000_000);
  assert.equal(read('--cpus', '1.123456789').values['cpus'], 1_123_456_789);
});
