import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { ContainerConfig, HostConfig } from '../../api/container.ts';
import { EngineError, errorMessage } from '../../base/errors.ts';
import type { HostFacts } from '../../linux/host-facts.ts';
import { mkdirAllInRoot, statInRoot } from '../../linux/rooted.ts';
import { containerProfile, UNCONFINED } from '../../runtime/spec/apparmor-profile.ts';
import { buildSpec } from '../../runtime/spec/build.ts';
import { execProcess } from '../../runtime/spec/exec.ts';
import { findInitBinary } from '../../runtime/spec/init.ts';
import { cgroupNamespace } from '../../runtime/spec/namespaces.ts';
import type { LinuxResources, OciSpec, ProcessSpec } from '../../runtime/spec/oci-spec.ts';
import { containerHostname, processDirectory } from '../../runtime/spec/process.ts';
import { linuxResources } from '../../runtime/spec/resources.ts';
import { parseSeccompProfile } from '../../runtime/spec/seccomp.ts';
import { parseSecurityOptions } from '../../runtime/spec/security.ts';
import { type ContainerUser, hasNames, readUserFiles, resolveUser } from '../../runtime/spec/user.ts';
import { validateCreate, type ValidationFacts } from '../../runtime/spec/validate.ts';
import type { ContainerRecord } from '../../state/containers.ts';
import { bindWarnings } from '../volumes/bind-warnings.ts';
import type { EngineConfig } from '../config.ts';
import { makeMountPoints } from './mount-points.ts';
import { refuseProcMounts } from './proc-mounts.ts';
import type { ContainerSpecs, ExecProcessRequest, SpecRequest } from '../containers/parts.ts';
import { DefaultProfile } from './default-profile.ts';

export interface EngineSpecsOptions {
  readonly host: HostFacts;
  /** Names of the OCI runtimes that are there. */
  readonly runtimes: readonly string[];
  readonly config: Pick<
    EngineConfig,
    'cgroupParent' | 'cgroupNamespace' | 'ulimits' | 'initPath' | 'noNewPrivileges' | 'seccompProfile'
  >;
}

/** From records to the runtime's documents: reads the container's own files, makes its working directory and what is mounted on. */
export class EngineSpecs implements ContainerSpecs {
  readonly #host: HostFacts;
  readonly #config: EngineSpecsOptions['config'];
  readonly #runtimes: readonly string[];
  readonly #initBinary: string | undefined;
  readonly #profile = new DefaultProfile();
  /** The engine's own `seccompProfile`, as `--security-opt` would have it. */
  readonly #seccomp: string | undefined;

  /** Throws `invalid-argument` when the configured seccomp profile cannot be used. */
  constructor(options: EngineSpecsOptions) {
    this.#host = options.host;
    this.#config = options.config;
    this.#runtimes = options.runtimes;
    this.#initBinary = options.config.initPath ?? findInitBinary();
    this.#seccomp = readSeccompProfile(options.config.seccompProfile);
  }

  check(config: ContainerConfig, hostConfig: HostConfig): readonly string[] {
    const facts: ValidationFacts = {
      host: this.#host,
      runtimes: this.#runtimes,
      hasInit: this.#initBinary !== undefined,
    };
    const { warnings } = validateCreate({ ...config, HostConfig: this.#withDefaults(hostConfig) }, facts);
    return [...warnings, ...bindWarnings(hostConfig, this.#host)];
  }

  cgroupNamespace(hostConfig: HostConfig): 'private' | 'host' {
    const { CgroupnsMode: asked } = hostConfig;
    if (asked === 'private' || asked === 'host') return asked;
    // privileged containers of cgroup v1 are there to see the host's
    if (hostConfig.Privileged === true && this.#host.cgroup.version === 1) return 'host';
    return cgroupNamespace({ CgroupnsMode: this.#config.cgroupNamespace ?? '' }, this.#host);
  }

  appArmorProfile({ SecurityOpt, Privileged }: HostConfig): string {
    if (this.#host.apparmor !== 'yes') return '';
    // as Docker has it: a privileged container is called unconfined even where it named a profile, and has that
    return Privileged === true ? UNCONFINED : containerProfile(parseSecurityOptions(SecurityOpt ?? []).apparmor, false);
  }

  async build(request: SpecRequest): Promise<OciSpec> {
    const { record, rootfs, network, mounts } = request;
    const { config } = record;
    const { files } = network;
    const hostConfig = this.#withDefaults(record.hostConfig);
    refuseLinkedDirectories(rootfs);
    makeWorkingDirectory(rootfs, config.WorkingDir, record.ids);
    const { spec } = buildSpec({
      id: record.id,
      config: {
        ...config,
        Hostname: joinedHostname(hostConfig, files.hostname) ?? config.Hostname ?? '',
        Env: [...network.env, ...(config.Env ?? [])],
      },
      hostConfig,
      host: this.#host,
      hostHostname: hostname(),
      rootfs,
      user: userOf(record, rootfs, ''),
      mounts: mounts.mounts,
      files: [
        { destination: '/etc/resolv.conf', source: files.resolvConf },
        { destination: '/etc/hostname', source: files.hostname },
        { destination: '/etc/hosts', source: files.hosts },
      ].filter((file) => file.source !== ''),
      network: network.namespace,
      ids: record.ids,
      userNamespace: network.userNamespace ?? joinedUserNamespace(request),
      joins: request.joins,
      shm: mounts.shm,
      initBinary: this.#initBinary,
      cgroupParent: this.#config.cgroupParent,
    });
    refuseProcMounts(rootfs, spec.mounts);
    makeMountPoints(rootfs, spec.mounts, record.ids && { uid: record.ids.uid.base, gid: record.ids.gid.base });
    await this.#profile.ensure(spec.process.apparmorProfile);
    return spec;
  }

  async process(record: ContainerRecord, rootfs: string, request: ExecProcessRequest): Promise<ProcessSpec> {
    const { config } = record;
    const hostConfig = this.#withDefaults(record.hostConfig);
    const process = execProcess({
      ...request,
      user: userOf(record, rootfs, request.user),
      config,
      hostname: containerHostname(record.id, config, hostConfig, hostname()),
      hostConfig,
      host: this.#host,
    });
    await this.#profile.ensure(process.apparmorProfile);
    return process;
  }

  async user(record: ContainerRecord, rootfs: string): Promise<{ uid: number; gid: number }> {
    const { uid, gid } = userOf(record, rootfs, '');
    return { uid, gid };
  }

  checkUser(record: ContainerRecord, rootfs: string, user: string): void {
    userOf(record, rootfs, user);
  }

  resources(hostConfig: HostConfig): LinuxResources {
    return linuxResources(hostConfig, this.#host.cgroup);
  }

  /** What the engine's configuration says where the container does not. */
  #withDefaults(hostConfig: HostConfig): HostConfig {
    const security = parseSecurityOptions(hostConfig.SecurityOpt ?? []);
    const added: string[] = [];
    if (
      this.#config.noNewPrivileges &&
      !hostConfig.SecurityOpt?.some((option) => option.startsWith('no-new-privileges'))
    ) {
      added.push('no-new-privileges');
    }
    if (this.#seccomp !== undefined && security.seccomp === undefined) added.push(`seccomp=${this.#seccomp}`);
    const named = new Set(hostConfig.Ulimits?.map(({ Name }) => Name.toLowerCase()));
    const ulimits = this.#config.ulimits.filter(({ Name }) => !named.has(Name.toLowerCase()));
    return {
      ...hostConfig,
      SecurityOpt: [...(hostConfig.SecurityOpt ?? []), ...added],
      Ulimits: [...ulimits, ...(hostConfig.Ulimits ?? [])],
    };
  }
}

function userOf({ config, hostConfig }: ContainerRecord, rootfs: string, user: string): ContainerUser {
  const spec = user || (config.User ?? '');
  const groups = hostConfig.GroupAdd ?? [];
  return resolveUser(spec, groups, readUserFiles(rootfs, { names: hasNames(spec, groups) }));
}

function readSeccompProfile(setting: string | undefined): string | undefined {
  if (setting === undefined || setting === 'unconfined' || setting === 'builtin') return setting;
  let text: string;
  try {
    text = readFileSync(setting, 'utf8');
  } catch (error) {
    throw new EngineError('invalid-argument', `opening seccomp profile (${setting}) failed: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  parseSeccompProfile(text);
  return text;
}

/** Who shares another container's network has that one's name: the file it has in common with it tells. */
function joinedHostname(hostConfig: HostConfig, file: string): string | undefined {
  if (hostConfig.NetworkMode?.startsWith('container:') !== true || file === '') return undefined;
  return readFileSync(file, 'utf8').trim() || undefined;
}

/** Namespaces of another container are its user namespace's. */
function joinedUserNamespace({ record, joins }: SpecRequest): string | undefined {
  const pid = joins.pid ?? joins.ipc;
  return record.ids && pid !== undefined ? `/proc/${pid}/ns/user` : undefined;
}

/** An image's WORKDIR need not exist: it is made, as root's. Throws `invalid-argument` when something else is there. */
function makeWorkingDirectory(rootfs: string, workingDir: string | undefined, ids: ContainerRecord['ids']): void {
  const directory = processDirectory(workingDir);
  if (directory === '/') return;
  try {
    mkdirAllInRoot(rootfs, directory, ids ? { uid: ids.uid.base, gid: ids.gid.base } : {});
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOTDIR') throw error;
    throw new EngineError('invalid-argument', `Cannot mkdir: ${directory} is not a directory`, { cause: error });
  }
}

/**
 * Older runtimes make what belongs into these where a symlink of the image leads: on the host (CVE-2026-41579, mended in
 * runc 1.3.6, 1.4.3 and 1.5.0). Throws `invalid-argument`; what is not there the runtime makes.
 */
function refuseLinkedDirectories(rootfs: string): void {
  for (const path of ['/dev', '/proc', '/sys']) {
    try {
      if (statInRoot(rootfs, path, { follow: false }).isDirectory()) continue;
    } catch (error) {
      if ((error as { code?: string }).code === 'ENOENT') continue;
      if ((error as { code?: string }).code !== 'ELOOP') throw error;
    }
    throw new EngineError(
      'invalid-argument',
      `${path} of the container is no directory: a symlink or file there could lead its mounts out of it (make it a directory in the image)`,
    );
  }
}
