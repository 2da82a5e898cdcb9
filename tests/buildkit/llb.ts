/** Definitions for tests, as clients write them: operations that name each other by the digests of their bytes. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  type Definition,
  DefinitionSchema,
  type ExecOpSchema,
  type FileActionSchema,
  type MetaSchema,
  type MountSchema,
  type OpMetadataSchema,
  OpSchema,
} from '../../src/buildkit/protocol/ops_pb.ts';
import { sha256 } from '../../src/oci/digest.ts';

export interface Output {
  readonly digest: string;
  readonly index: bigint;
}

type OpInit = MessageInitShape<typeof OpSchema>;
type Metadata = MessageInitShape<typeof OpMetadataSchema>;
type Mount = MessageInitShape<typeof MountSchema>;

const PLATFORM = { OS: 'linux', Architecture: process.arch === 'x64' ? 'amd64' : process.arch };

/** Operations as they are added: each may name those before it. */
export class Llb {
  readonly #def: Uint8Array[] = [];
  readonly #metadata: Record<string, Metadata> = {};

  add(op: OpInit, metadata: Metadata = {}): (index?: number) => Output {
    const bytes = toBinary(OpSchema, create(OpSchema, { platform: PLATFORM, constraints: {}, ...op } as OpInit));
    const digest = sha256(bytes);
    if (!this.#metadata[digest]) this.#def.push(bytes);
    this.#metadata[digest] = metadata;
    return (index = 0) => ({ digest, index: BigInt(index) });
  }

  source(identifier: string, attrs: Record<string, string> = {}): Output {
    return this.add({ op: { case: 'source', value: { identifier, attrs } } })();
  }

  image(name = 'docker.io/library/busybox:latest'): Output {
    return this.source(`docker-image://${name}`);
  }

  /** Runs a script on a root; its other mounts name inputs behind the root. */
  run(
    root: Output | undefined,
    script: string,
    {
      inputs = [],
      mounts = [],
      meta = {},
      readonly = false,
      metadata = {},
      ...exec
    }: {
      readonly inputs?: readonly Output[];
      readonly mounts?: readonly Mount[];
      readonly meta?: MessageInitShape<typeof MetaSchema>;
      readonly readonly?: boolean;
      readonly metadata?: Metadata;
    } & Pick<MessageInitShape<typeof ExecOpSchema>, 'network' | 'security' | 'secretenv'> = {},
  ): (index?: number) => Output {
    const all = root ? [root, ...inputs] : [...inputs];
    const rootMount: Mount = {
      input: root ? 0n : -1n,
      dest: '/',
      output: readonly ? -1n : 0n,
      readonly,
    };
    return this.add(
      {
        inputs: all,
        op: {
          case: 'exec',
          value: {
            meta: { args: ['/bin/sh', '-c', script], cwd: '/', env: [], ...meta },
            mounts: [rootMount, ...mounts],
            ...exec,
          },
        },
      },
      metadata,
    );
  }

  /** Actions on a base: each upon the one before it. `secondaryInput` counts inputs behind the base. */
  file(
    base: Output | undefined,
    actions: readonly MessageInitShape<typeof FileActionSchema>['action'][],
    from: readonly Output[] = [],
  ): Output {
    const inputs = base ? [base, ...from] : [...from];
    const first = base ? 0 : -1;
    return this.add({
      inputs,
      op: {
        case: 'file',
        value: {
          actions: actions.map((action, index) => ({
            input: BigInt(index === 0 ? first : inputs.length + index - 1),
            secondaryInput: action?.case === 'copy' ? BigInt(base ? 1 : 0) : -1n,
            output: index === actions.length - 1 ? 0n : -1n,
            action,
          })),
        },
      },
    })();
  }

  merge(...inputs: readonly Output[]): Output {
    return this.add({
      inputs: [...inputs],
      op: { case: 'merge', value: { inputs: inputs.map((_, index) => ({ input: BigInt(index) })) } },
    })();
  }

  diff(lower: Output | undefined, upper: Output): Output {
    const inputs = lower ? [lower, upper] : [upper];
    return this.add({
      inputs,
      op: {
        case: 'diff',
        value: { lower: { input: lower ? 0n : -1n }, upper: { input: BigInt(inputs.length - 1) } },
      },
    })();
  }

  /** The whole with its result. */
  definition(result: Output): Definition {
    const last = toBinary(OpSchema, create(OpSchema, { inputs: [result] }));
    return create(DefinitionSchema, {
      def: [...this.#def, last],
      metadata: { ...this.#metadata, [sha256(last)]: {} },
    });
  }
}

type Made<K extends string> = Extract<MessageInitShape<typeof FileActionSchema>['action'], { case: K }>;

/** Fields as clients set them where they want nothing special. */
const COMMON = { timestamp: -1n } as const;

export function copy(src: string, dest: string, more: Made<'copy'>['value'] = {} as never): Made<'copy'> {
  return { case: 'copy', value: { src, dest, mode: -1, ...COMMON, ...more } } as Made<'copy'>;
}

export function mkfile(path: string, text: string, more: object = {}): Made<'mkfile'> {
  return {
    case: 'mkfile',
    value: { path, mode: 0o644, data: Buffer.from(text), ...COMMON, ...more },
  } as Made<'mkfile'>;
}

export function mkdir(path: string, more: object = {}): Made<'mkdir'> {
  return { case: 'mkdir', value: { path, mode: 0o755, ...COMMON, ...more } } as Made<'mkdir'>;
}

export function rm(path: string, more: object = {}): Made<'rm'> {
  return { case: 'rm', value: { path, ...more } } as Made<'rm'>;
}

export function symlink(oldpath: string, newpath: string, more: object = {}): Made<'symlink'> {
  return { case: 'symlink', value: { oldpath, newpath, ...COMMON, ...more } } as Made<'symlink'>;
}
