import { posix } from 'node:path';
import type { ExecFilesystem, ExecOperation } from '../../engine/builder/graph/graph.ts';
import type { RunMount } from '../../build/run-mount.ts';
import {
  CacheSharingOpt,
  type ExecOp,
  type Mount,
  MountType,
  NetMode,
  type ProxyEnv,
  SecurityMode,
} from '../protocol/ops_pb.ts';
import { GRPC, GrpcError } from '../grpc/status.ts';
import { malformed, unsupported } from './unsupported.ts';

const SHARING: Readonly<Partial<Record<CacheSharingOpt, 'shared' | 'private' | 'locked'>>> = {
  [CacheSharingOpt.SHARED]: 'shared',
  [CacheSharingOpt.PRIVATE]: 'private',
  [CacheSharingOpt.LOCKED]: 'locked',
};

export interface ExecLimits {
  /** How many inputs the operation has. */
  readonly inputs: number;
  /** What the client was allowed. */
  readonly entitlements: readonly string[];
}

/** Reads a command. Throws UNIMPLEMENTED, INVALID_ARGUMENT, PERMISSION_DENIED. */
export function readExec(op: ExecOp, { inputs, entitlements }: ExecLimits): ExecOperation {
  const { meta } = op;
  if (!meta || meta.args.length === 0) throw malformed('ExecOp', 'it has no command');
  if (!meta.cwd.startsWith('/')) throw malformed('ExecOp', 'its working directory is not absolute');
  if (op.security === SecurityMode.INSECURE) throw unsupported('ExecOp', 'security mode INSECURE');
  if (op.network === NetMode.HOST && !entitlements.includes('network.host'))
    throw new GrpcError(GRPC.permissionDenied, 'network.host is not allowed: build with --allow network.host');
  const root = op.mounts.find(({ dest }) => dest === '/');
  if (!root) throw malformed('ExecOp', 'it has no root mount');
  if (root.mountType !== MountType.BIND) throw malformed('ExecOp', 'its root is no bind mount');
  const filesystems: ExecFilesystem[] = [readFilesystem(root, inputs)];
  const mounts: RunMount[] = [];
  for (const mount of op.mounts) {
    if (mount === root) continue;
    if (mount.dest === '') throw malformed('ExecOp', 'a mount has no destination');
    const target = posix.resolve(meta.cwd, mount.dest);
    // What has a result, and what may be written to: the rest is looked at only.
    if (mount.mountType === MountType.BIND && (!mount.readonly || mount.output >= 0n))
      filesystems.push({ ...readFilesystem(mount, inputs), target });
    else mounts.push(readMount(mount, target, inputs));
  }
  for (const { ID, name, optional } of op.secretenv)
    mounts.push({
      type: 'secret',
      id: ID,
      required: !optional,
      target: undefined,
      variable: name,
      mode: 0o400,
      uid: 0,
      gid: 0,
    });
  const outputs = filesystems.map(({ output }) => output).filter((output) => output !== undefined);
  if (new Set(outputs).size !== outputs.length) throw malformed('ExecOp', 'two mounts have the same output');
  return {
    kind: 'exec',
    args: meta.args,
    env: meta.env,
    workingDir: meta.cwd,
    user: meta.user,
    hostname: meta.hostname === '' ? undefined : meta.hostname,
    network: op.network === NetMode.HOST ? 'host' : op.network === NetMode.NONE ? 'none' : 'default',
    proxies: proxies(meta.proxyEnv),
    request: {
      extraHosts: meta.extraHosts.map(({ Host, IP }) => `${Host}:${IP}`),
      ulimits: meta.ulimit.map(({ Name, Soft, Hard }) => ({ Name, Soft: Number(Soft), Hard: Number(Hard) })),
      ...(meta.cgroupParent !== '' && { limits: { cgroupParent: meta.cgroupParent } }),
    },
    validExitCodes: meta.validExitCodes,
    filesystems,
    mounts,
  };
}

function readFilesystem(mount: Mount, inputs: number): ExecFilesystem {
  if (mount.output > 1000n) throw malformed('ExecOp', `output ${mount.output}`);
  return {
    target: mount.dest,
    input: inputOf(mount, inputs),
    selector: mount.selector,
    readOnly: mount.readonly,
    output: mount.output < 0n ? undefined : Number(mount.output),
  };
}

function readMount(mount: Mount, target: string, inputs: number): RunMount {
  const input = inputOf(mount, inputs);
  const from = input < 0 ? undefined : String(input);
  const source = mount.selector === '' ? '/' : mount.selector;
  switch (mount.mountType) {
    case MountType.BIND:
      if (from === undefined) throw unsupported('ExecOp', 'a read-only mount of nothing');
      return { type: 'bind', target, from, source, writable: false };
    case MountType.CACHE: {
      const { ID: id = '', sharing = CacheSharingOpt.SHARED } = mount.cacheOpt ?? {};
      if (id === '') throw malformed('ExecOp', 'a cache mount has no id');
      const known = SHARING[sharing];
      if (known === undefined) throw unsupported('ExecOp', `sharing ${sharing} of a cache mount`);
      const readOnly = mount.readonly;
      return { type: 'cache', target, id, sharing: known, from, source, readOnly, mode: 0o755, uid: 0, gid: 0 };
    }
    case MountType.TMPFS: {
      const size = Number(mount.TmpfsOpt?.size ?? 0n);
      return { type: 'tmpfs', target, size: size > 0 ? size : undefined };
    }
    case MountType.SECRET: {
      const { ID: id = '', uid = 0, gid = 0, mode = 0, optional = false } = mount.secretOpt ?? {};
      if (id === '') throw malformed('ExecOp', 'a secret mount has no id');
      return { type: 'secret', id, required: !optional, target, variable: undefined, mode: mode & 0o777, uid, gid };
    }
    case MountType.SSH: {
      const { ID = '', uid = 0, gid = 0, mode = 0, optional = false } = mount.SSHOpt ?? {};
      const id = ID === '' ? 'default' : ID;
      return { type: 'ssh', id, required: !optional, target, mode: mode & 0o777, uid, gid };
    }
    default:
      throw unsupported('ExecOp', `mount type ${String(mount.mountType)}`);
  }
}

function inputOf({ input }: Mount, inputs: number): number {
  if (input < -1n || input >= BigInt(inputs)) throw malformed('ExecOp', `a mount names input ${input}`);
  return Number(input);
}

function proxies(env: ProxyEnv | undefined): string[] {
  const values = {
    HTTP_PROXY: env?.httpProxy,
    HTTPS_PROXY: env?.httpsProxy,
    FTP_PROXY: env?.ftpProxy,
    NO_PROXY: env?.noProxy,
    ALL_PROXY: env?.allProxy,
  };
  return Object.entries(values).flatMap(([name, value]) =>
    value ? [`${name}=${value}`, `${name.toLowerCase()}=${value}`] : [],
  );
}
