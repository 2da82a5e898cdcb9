import { isIP } from 'node:net';
import type { ContainerCreateRequest, HostConfig } from '../../api/container.ts';
import { EngineError } from '../../base/errors.ts';

/** Modes of the namespaces, and options that contradict them; returns warnings. Throws `invalid-argument` in Docker's words. */
export function checkModes(request: ContainerCreateRequest, hostConfig: HostConfig): string[] {
  checkNamespaceModes(hostConfig);
  checkConflicts(request, hostConfig);
  for (const entry of hostConfig.ExtraHosts ?? []) checkExtraHost(entry);
  if (hostConfig.NetworkMode === 'host' && Object.keys(hostConfig.PortBindings ?? {}).length > 0) {
    return ['Published ports are discarded when using host network mode'];
  }
  return [];
}

/** `name:address`; as we have it also `name=address` and an address in brackets. Throws `invalid-argument` in Docker's words. */
function checkExtraHost(entry: string): void {
  const [, name, address = ''] = /^([^:=]+)[:=](.*)$/s.exec(entry) ?? [];
  if (name === undefined) throw invalid(`bad format for add-host: ${JSON.stringify(entry)}`);
  if (address !== 'host-gateway' && isIP(address.replace(/^\[(.*)\]$/, '$1')) === 0)
    throw invalid(`invalid IP address in add-host: ${JSON.stringify(address)}`);
}

function checkNamespaceModes(hostConfig: HostConfig): void {
  const { PidMode = '', IpcMode = '', UTSMode = '', UsernsMode = '', CgroupnsMode = '' } = hostConfig;
  if (!['', 'host'].includes(PidMode) && !isContainer(PidMode)) throw invalid(`invalid PID mode: ${PidMode}`);
  if (!['', 'host', 'none', 'private', 'shareable'].includes(IpcMode) && !isContainer(IpcMode)) {
    throw invalid(`invalid IPC mode: ${IpcMode}`);
  }
  if (!['', 'host'].includes(UTSMode)) throw invalid(`invalid UTS mode: ${UTSMode}`);
  if (!/^(?:host|auto(?::size=\d{1,9})?)?$/.test(UsernsMode))
    throw invalid(`invalid user namespace mode: ${UsernsMode}`);
  if (!['', 'private', 'host'].includes(CgroupnsMode)) throw invalid(`invalid cgroup namespace mode: ${CgroupnsMode}`);
  if (/^container:?$/.test(hostConfig.NetworkMode ?? '')) {
    throw invalid('invalid network mode: invalid container format container:<name|id>');
  }
}

function isContainer(mode: string): boolean {
  return mode.startsWith('container:') && mode.length > 'container:'.length;
}

function checkConflicts(request: ContainerCreateRequest, hostConfig: HostConfig): void {
  const network = hostConfig.NetworkMode ?? '';
  const joins = network.startsWith('container:');
  const conflict = (what: string): EngineError => invalid(`conflicting options: ${what}`);
  if (request.Hostname && hostConfig.UTSMode === 'host') throw conflict('hostname and the UTS mode');
  if (hostConfig.Links?.length && (joins || network === 'host')) {
    throw conflict(
      `${joins ? 'container' : 'host'} type network${joins ? '' : 'ing'} can't be used with links. ` +
        'This would result in undefined behavior',
    );
  }
  if (!joins) return;
  if (request.Hostname) throw conflict('hostname and the network mode');
  if (hostConfig.Dns?.length) throw conflict('dns and the network mode');
  if (hostConfig.ExtraHosts?.length) throw conflict('custom host-to-IP mapping and the network mode');
  if (hostConfig.PublishAllPorts === true || Object.keys(hostConfig.PortBindings ?? {}).length > 0) {
    throw conflict('port publishing and the container type network mode');
  }
  if (Object.keys(request.ExposedPorts ?? {}).length > 0) {
    throw conflict('port exposing and the container type network mode');
  }
}

function invalid(message: string): EngineError {
  return new EngineError('invalid-argument', message);
}
