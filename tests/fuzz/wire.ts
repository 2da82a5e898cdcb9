/** What comes over sockets: requests, names, frames, the kernel's answers, the log of a container. */
import { fromBinary, toBinary, create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { readDefinition } from '../../src/buildkit/definition/definition.ts';
import { Deframer, frame } from '../../src/buildkit/grpc/frames.ts';
import * as control from '../../src/buildkit/protocol/control_pb.ts';
import * as filesync from '../../src/buildkit/protocol/filesync_pb.ts';
import * as gateway from '../../src/buildkit/protocol/gateway_pb.ts';
import * as ops from '../../src/buildkit/protocol/ops_pb.ts';
import { parseAttributes, takeAnswer } from '../../src/linux/netlink.ts';
import { parseAddressMessage, parseLink, parseRoute } from '../../src/linux/netlink-route.ts';
import { SystemCallError } from '../../src/linux/libc.ts';
import { parseMounts } from '../../src/linux/mountinfo.ts';
import { describeAnswer } from '../../src/network/dns/answer-text.ts';
import {
  addressesOf,
  agedAnswer,
  answerCode,
  isAnswerTo,
  isTruncated,
  makeAnswer,
  makeQuery,
  parseQuery,
  reverseAddress,
  shortestTtl,
} from '../../src/network/dns/message.ts';
import { sha256 } from '../../src/oci/digest.ts';
import { RecordDecoder, findLastLines, unfinishedStreams } from '../../src/runtime/logs/record.ts';
import { isTyped, type Target } from './target.ts';

const QUERY = makeQuery(7, 'web.example', 1);
const ANSWER = makeAnswer(QUERY, parseQuery(QUERY)!, {
  code: 0,
  ttl: 60,
  answers: [
    { type: 1, data: Uint8Array.of(10, 0, 0, 1) },
    { type: 12, data: Buffer.from('\x03web\x07example\x00') },
  ],
});

function readNames(input: Buffer): void {
  const query = parseQuery(input);
  if (query) {
    reverseAddress(query.question.name);
    makeAnswer(input, query, {
      code: 0,
      limit: query.udpSize,
      answers: [{ type: 1, data: Uint8Array.of(1, 2, 3, 4) }],
    });
  }
  for (const asked of [parseQuery(QUERY)!, ...(query ? [query] : [])]) {
    if (!isAnswerTo(asked, input)) continue;
    answerCode(input);
    isTruncated(input);
    shortestTtl(input, asked);
    agedAnswer(input, asked, 100_000);
    describeAnswer(input, addressesOf(input, asked));
  }
}

function kernelAnswer(): Buffer {
  const attribute = (type: number, value: Uint8Array): Buffer => {
    const head = Buffer.alloc(4);
    head.writeUInt16LE(4 + value.length, 0);
    head.writeUInt16LE(type, 2);
    return Buffer.concat([head, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
  };
  const message = (type: number, payload: Buffer): Buffer => {
    const head = Buffer.alloc(16);
    head.writeUInt32LE(16 + payload.length, 0);
    head.writeUInt16LE(type, 4);
    head.writeUInt32LE(1, 8);
    return Buffer.concat([head, payload]);
  };
  const link = Buffer.concat([
    Buffer.alloc(16),
    attribute(3, Buffer.from('eth0\0')),
    attribute(1, Buffer.alloc(6)),
    attribute(18, attribute(1, Buffer.from('veth\0'))),
  ]);
  const error = Buffer.concat([
    Buffer.from([0xef, 0xff, 0xff, 0xff]),
    Buffer.alloc(16),
    attribute(1, Buffer.from('words\0')),
  ]);
  return Buffer.concat([message(16, link), message(2, error), message(3, Buffer.alloc(4))]);
}

function readKernel(input: Buffer): void {
  const messages: { type: number; payload: Buffer }[] = [];
  let refused: Error | undefined;
  for (const read of [
    () => void takeAnswer(input, 1, 'fuzz', messages),
    ...[parseLink, parseRoute, parseAddressMessage].map((parse) => () => {
      for (const { payload } of messages) parse(payload);
      parse(input);
    }),
    () => void parseAttributes(input),
  ]) {
    try {
      read();
    } catch (error) {
      if (!(error instanceof SystemCallError) && !isTyped(error)) throw error;
      refused = error as Error;
    }
  }
  if (refused !== undefined) throw refused;
}

const SCHEMAS: readonly DescMessage[] = [
  control.SolveRequestSchema,
  control.PruneRequestSchema,
  control.StatusRequestSchema,
  gateway.SolveRequestSchema,
  filesync.BytesMessageSchema,
];

/** A client's stream: cut into messages, each read as any of those that we take. */
function readFrames(input: Buffer): void {
  const frames = new Deframer();
  for (const part of [input.subarray(0, 3), input.subarray(3, 50), input.subarray(50)]) {
    for (const message of frames.push(part)) {
      for (const schema of SCHEMAS) {
        try {
          fromBinary(schema, message);
        } catch {
          // what the library refuses is answered with INVALID_ARGUMENT, whatever it throws
        }
      }
    }
  }
}

const IMAGE = toBinary(
  ops.OpSchema,
  create(ops.OpSchema, {
    op: { case: 'source', value: { identifier: 'docker-image://docker.io/library/busybox:latest' } },
  }),
);
const ON_IMAGE = [{ digest: sha256(IMAGE), index: 0n }];

function operation(op: MessageInitShape<typeof ops.OpSchema>['op'], inputs = ON_IMAGE): Uint8Array {
  return toBinary(
    ops.OpSchema,
    create(ops.OpSchema, { op: op!, inputs, platform: { OS: 'linux', Architecture: 'amd64' } }),
  );
}

const OPERATIONS: readonly Uint8Array[] = [
  operation({
    case: 'exec',
    value: {
      meta: { args: ['sh', '-c', 'true'], env: ['A=b'], cwd: '/', user: 'root' },
      mounts: [
        { input: 0n, dest: '/', output: 0n },
        { input: -1n, dest: '/cache', output: -1n, mountType: 3, cacheOpt: { ID: 'x', sharing: 0 } },
        { input: -1n, dest: '/s', output: -1n, mountType: 1, secretOpt: { ID: 'x', mode: 0o400 } },
      ],
    },
  }),
  operation({
    case: 'file',
    value: {
      actions: [
        { input: 0n, secondaryInput: -1n, output: -1n, action: { case: 'mkdir', value: { path: '/a', mode: 0o755 } } },
        { input: 1n, secondaryInput: 0n, output: 0n, action: { case: 'copy', value: { src: '/bin/*', dest: '/a/' } } },
      ],
    },
  }),
  operation(
    { case: 'source', value: { identifier: 'git://github.com/a/b.git#main', attrs: { 'git.keepgitdir': 'true' } } },
    [],
  ),
  operation(
    { case: 'source', value: { identifier: 'local://context', attrs: { 'local.includepattern': '["a"]' } } },
    [],
  ),
  operation({ case: 'source', value: { identifier: 'https://a/b', attrs: { 'http.perm': '0644' } } }, []),
  operation({ case: 'merge', value: { inputs: [{ input: 0n }] } }),
  operation({ case: 'diff', value: { lower: { input: -1n }, upper: { input: 0n } } }),
];

/** An operation on an image, and its result. */
function readOperation(input: Buffer): void {
  const result = create(ops.OpSchema, { inputs: [{ digest: sha256(input), index: 0n }] });
  const definition = create(ops.DefinitionSchema, { def: [IMAGE, input, toBinary(ops.OpSchema, result)] });
  const session = { directory: () => ({}) };
  const parts = {
    session,
    sessionOf: () => undefined,
    resultOf: () => undefined,
    log: {},
    signal: new AbortController().signal,
  };
  readDefinition({ ...parts, rules: undefined, entitlements: [] } as never, definition);
}

function readRecord(input: Buffer): void {
  unfinishedStreams(input);
  findLastLines(input, 3, { stdout: true, stderr: true } as never);
  new RecordDecoder({ stdout: true, stderr: true, timestamps: true } as never).decode(Buffer.from(input));
}

export function wireTargets(): Target[] {
  return [
    { name: 'dns', seeds: [QUERY, ANSWER, makeQuery(1, '1.0.0.127.in-addr.arpa', 12)], read: readNames },
    {
      name: 'netlink',
      seeds: [kernelAnswer()],
      read: readKernel,
      isRefusal: (error) => error instanceof SystemCallError || isTyped(error),
    },
    {
      name: 'grpc',
      seeds: [
        frame(
          toBinary(
            control.SolveRequestSchema,
            create(control.SolveRequestSchema, {
              Ref: 'r',
              Frontend: 'dockerfile.v0',
              FrontendAttrs: { filename: 'x' },
            }),
          ),
        ),
        Buffer.concat([frame(Buffer.from('abc')), frame(Buffer.alloc(0))]),
      ],
      read: readFrames,
    },
    { name: 'definition', seeds: OPERATIONS, read: readOperation },
    {
      name: 'log-record',
      seeds: [
        '2026-12-01T02:03:04.123456789+00:00 stdout F hello\n2026-12-01T02:03:04.2+00:00 stderr P part\n',
        '2026-12-01T02:03:04Z stdout F \n',
      ],
      pieces: ['2026-12-01T02:03:04.123456789+00:00', ' stdout ', ' stderr ', 'F ', 'P ', '\n', ' '],
      read: readRecord,
    },
    {
      name: 'mountinfo',
      seeds: ['36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n'],
      pieces: [' - ', '\\040', ' ', '\n', '/', 'rw'],
      read: (input) => parseMounts(input.toString()),
    },
  ];
}
