/** What people see of transfers, from a registry through an engine to a terminal or a file: bytes, and how many a second. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gantryWords } from '../cli/command.ts';
import { tarOf } from '../images/archive.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { nothingLeft } from '../support/daemon-suite.ts';
import { MisbehavingRegistry } from './misbehaving-registry.ts';

const directory = mkdtempSync(join(tmpdir(), 'gantry-progress-'));
/** More than the buffers of two sockets have room for. */
const SIZE = 16 << 20;
const PIECE = 32 << 10;
const PIECE_MS = 40;

describe('progress', { skip: process.getuid?.() !== 0 && 'needs root, for an engine of its own' }, () => {
  const daemon = new DaemonProcess({ directory: join(directory, 'd') });
  before(async () => {
    await daemon.start();
    writeFileSync(join(directory, 'layer.tar'), await tarOf({ file: randomBytes(SIZE) }));
  });
  after(async () => {
    await daemon.stop();
    await nothingLeft(daemon, directory);
  });

  /** Runs a command; `onShown` gets all that it has shown so far. */
  function gantry(
    words: readonly string[],
    { terminal = false, onShown }: { terminal?: boolean; onShown?: (shown: string) => void } = {},
  ): Promise<string> {
    const line = [process.execPath, ...gantryWords, ...words];
    const inTerminal = ['script', '-qec', `stty rows 40 cols 120; ${line.join(' ')}`, '/dev/null'];
    const [program = '', ...args] = terminal ? inTerminal : line;
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, { env: daemon.clientEnv, stdio: ['ignore', 'pipe', 'pipe'] });
      let shown = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text: string) => {
          shown += text;
          onShown?.(shown);
        });
      }
      child.once('close', (code) => (code === 0 ? resolve(shown) : reject(new Error(`exit ${code}: ${shown}`))));
    });
  }

  for (const terminal of [true, false]) {
    const where = terminal ? 'on a terminal' : 'in a file';
    const rated = (verb: string): RegExp =>
      terminal
        ? new RegExp(`[0-9a-f]{12}: ${verb} +\\[=*>? *\\] +[\\d.]+[kM]?B/[\\d.]+MB +[\\d.]+[kM]?B/s`)
        : new RegExp(`^[0-9a-f]{12}: ${verb} [\\d.]+[kM]?B/[\\d.]+MB [\\d.]+[kM]?B/s$`, 'm');

    test(`pull ${where}: a row for each layer, with its rate while it goes on`, async () => {
      await using registry = await MisbehavingRegistry.open({ file: randomBytes(SIZE).toString('base64') });
      const seen = Promise.withResolvers<void>();
      let isSeen = false;
      void seen.promise.then(() => (isSeen = true));
      registry.answer = (request, response) => {
        if (!request.url!.includes(registry.layerDigest)) return false;
        response.writeHead(200, { 'content-length': registry.layer.length });
        drip(registry.layer, response, () => isSeen);
        return true;
      };
      const name = `${registry.host}/app:1`;
      const shown = await gantry(['pull', name], {
        terminal,
        onShown: (text) => {
          if (rated('Downloading').test(text)) seen.resolve();
        },
      });
      assert.match(shown, rated('Downloading'));
      const id = registry.layerDigest.slice(7, 19);
      for (const word of ['Pulling fs layer', 'Download complete', 'Pull complete']) {
        assert.ok(shown.includes(`${id}: ${word}`), `${word} in ${shown}`);
      }
      assert.ok(shown.includes(`Status: Downloaded newer image for ${name}`), shown);
      assert.equal(shown.includes('\x1b['), terminal, 'only a terminal is drawn on');
      await gantry(['rmi', name]);
    });

    test(`push ${where}: a row for each layer, with its rate while it goes on`, async () => {
      await using registry = await MisbehavingRegistry.open();
      const name = `${registry.host}/team:${terminal ? 't' : 'f'}`;
      const seen = Promise.withResolvers<void>();
      let isSeen = false;
      void seen.promise.then(() => (isSeen = true));
      registry.answer = (request, response) => takePush(request, response, () => isSeen);
      await gantry(['import', join(directory, 'layer.tar'), name]);
      const shown = await gantry(['push', name], {
        terminal,
        onShown: (text) => {
          if (rated('Pushing').test(text)) seen.resolve();
        },
      });
      assert.match(shown, rated('Pushing'));
      assert.match(shown, /[0-9a-f]{12}: Pushed/);
      assert.match(shown, /: digest: sha256:[0-9a-f]{64} size: \d+/);
      await gantry(['rmi', name]);
    });
  }

  /** Sends piece by piece until `isEnough`, and then all of the rest. */
  function drip(bytes: Buffer, response: ServerResponse, isEnough: () => boolean): void {
    let at = 0;
    const timer = setInterval(() => {
      const end = isEnough() ? bytes.length : Math.min(bytes.length, at + PIECE);
      response.write(bytes.subarray(at, end));
      at = end;
      if (at < bytes.length) return;
      clearInterval(timer);
      response.end();
    }, PIECE_MS);
    response.once('close', () => clearInterval(timer));
  }

  /** Takes an upload as slowly as that, and manifests. */
  function takePush(request: IncomingMessage, response: ServerResponse, isEnough: () => boolean): boolean {
    const isUpload = request.url!.includes('/blobs/uploads/');
    if (request.method === 'HEAD') response.writeHead(404).end();
    else if (request.method === 'POST') response.writeHead(202, { location: '/v2/team/blobs/uploads/1' }).end();
    else if (isUpload && (request.method === 'PATCH' || request.method === 'PUT')) {
      const timer = setInterval(() => {
        if (isEnough()) {
          clearInterval(timer);
          request.resume();
        } else void (request.read(PIECE) ?? request.read());
      }, PIECE_MS);
      request.once('end', () => {
        clearInterval(timer);
        const created = request.method === 'PUT';
        response.writeHead(created ? 201 : 202, { location: '/v2/team/blobs/uploads/1' }).end();
      });
      request.once('close', () => clearInterval(timer));
    } else if (request.method === 'PUT') {
      request.resume().once('end', () => response.writeHead(201).end());
    } else return false;
    return true;
  }
});
