import { constants } from 'node:os';
import type { ContainerConfig, ContainerCreateRequest, HealthConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';

/** Bounds that no honest container meets, and that keep a hostile client's from filling the database. */
const MAX_ENV_BYTES = 1024 * 1024;
const MAX_LABELS = 10_000;
const MAX_LABEL_BYTES = 4 * 1024 * 1024;
/** HOST_NAME_MAX */
const MAX_HOSTNAME = 64;

/** The portable half of a create request; returns warnings. Throws `invalid-argument`, `too-large`. */
export function checkConfig(request: ContainerCreateRequest): string[] {
  checkEnvironment(request.Env);
  checkLabels(request.Labels);
  checkNames(request);
  if (request.StopSignal && !isSignal(request.StopSignal)) throw invalid(`invalid signal: ${request.StopSignal}`);
  return checkHealth(request.Healthcheck);
}

function checkEnvironment(env: ContainerConfig['Env']): void {
  let bytes = 0;
  for (const entry of env ?? []) {
    if (entry === '' || entry.startsWith('=')) throw invalid(`invalid environment variable: ${entry}`);
    bytes += Buffer.byteLength(entry) + 1;
  }
  if (bytes > MAX_ENV_BYTES) {
    throw new EngineError('too-large', `environment of ${bytes} bytes: at most ${MAX_ENV_BYTES} are accepted`);
  }
}

function checkLabels(labels: ContainerConfig['Labels']): void {
  const entries = Object.entries(labels ?? {});
  const bytes = entries.reduce((sum, [key, value]) => sum + key.length + String(value).length, 0);
  if (entries.length > MAX_LABELS || bytes > MAX_LABEL_BYTES) {
    throw new EngineError(
      'too-large',
      `${entries.length} labels of ${bytes} bytes: at most ${MAX_LABELS} of together ${MAX_LABEL_BYTES} are accepted`,
    );
  }
}

/** The kernel takes no NUL in these, and would cut them there; lines end up in files that are read by lines. */
function checkNames(request: ContainerCreateRequest): void {
  const strings = [
    ...(request.Env ?? []),
    ...(request.Cmd ?? []),
    ...(request.Entrypoint ?? []),
    request.WorkingDir ?? '',
    request.User ?? '',
  ];
  if (strings.some((text) => text.includes('\0'))) {
    throw invalid('invalid request: a NUL byte in environment, command, user or working directory');
  }
  const hostConfig = request.HostConfig ?? {};
  for (const [what, values] of Object.entries({
    hostname: [request.Hostname ?? '', request.Domainname ?? ''],
    'host entry': hostConfig.ExtraHosts ?? [],
    'dns option': [...(hostConfig.Dns ?? []), ...(hostConfig.DnsSearch ?? []), ...(hostConfig.DnsOptions ?? [])],
  })) {
    for (const value of values) {
      if (hasControl(value)) throw invalid(`invalid ${what} ${JSON.stringify(value)}: control characters`);
    }
  }
  for (const name of [request.Hostname ?? '', request.Domainname ?? '']) {
    if (Buffer.byteLength(name) > MAX_HOSTNAME) {
      throw invalid(`invalid hostname "${name.slice(0, 100)}": longer than ${MAX_HOSTNAME} bytes`);
    }
  }
}

function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) < 0x20 || text.charCodeAt(i) === 0x7f) return true;
  return false;
}

/** Nanoseconds. */
const MILLISECOND = 1_000_000;

function checkHealth(health: HealthConfig | undefined): string[] {
  if (!health) return [];
  for (const field of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval'] as const) {
    const value = health[field] ?? 0;
    if (value !== 0 && value < MILLISECOND) throw invalid(`${field} in Healthcheck cannot be less than 1ms`);
  }
  if ((health.Retries ?? 0) < 0) throw invalid('Retries in Healthcheck cannot be negative');
  const type = health.Test?.[0];
  if (type !== undefined && !['', 'NONE', 'CMD', 'CMD-SHELL'].includes(type)) {
    return [`Unknown healthcheck type '${type}' (expected 'CMD'): health is not checked.`];
  }
  return [];
}

/** `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `RTMAX-1`. */
export function isSignal(text: string): boolean {
  if (/^\d+$/.test(text)) return Number(text) >= 1 && Number(text) <= 64;
  const name = text.toUpperCase().replace(/^SIG/, '');
  const realtime = /^RT(MIN\+|MAX-)(\d+)$/.exec(name);
  if (realtime) return Number(realtime[2]) <= 15;
  if (name === 'RTMIN' || name === 'RTMAX') return true;
  return name !== '0' && Object.hasOwn(constants.signals, `SIG${name}`);
}

function invalid(message: string): EngineError {
  return new EngineError('invalid-argument', message);
}
