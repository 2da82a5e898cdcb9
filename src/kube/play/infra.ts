import type { ContainerCreateRequest } from '../../api/container.ts';
import type { PortBinding } from '../../api/network.ts';
import { EngineError } from '../../base/errors.ts';
import { asDict, asList, asText, asTexts, type Dict, textOf } from '../../compose/model/value.ts';
import { nameOf } from '../manifests.ts';
import { podLabels } from './container.ts';
import { KUBE_LABEL } from './labels.ts';
import { type PlayObjects, type PodTemplate, selects } from './objects.ts';
import { portOf } from './probes.ts';

/** It holds the namespaces and does nothing; the engine has it without a registry. */
export const INFRA_IMAGE = 'busybox';
const WAIT = 'trap "exit 0" TERM INT; while :; do sleep 3600 & wait $!; done';

/** The container whose network, shared memory and name a pod's containers have. */
export function infraRequest(
  pod: PodTemplate,
  objects: PlayObjects,
  network: string,
  warn: (message: string) => void,
): ContainerCreateRequest {
  const { spec } = pod;
  const host = spec['hostNetwork'] === true;
  const ports = host ? new Map<string, PortBinding[]>() : publishedPorts(pod, objects, warn);
  const names = objects.services.filter((service) => selects(service, pod)).map(nameOf);
  const dns = asDict(spec['dnsConfig']);
  const podwide = asDict(spec['securityContext']);
  return {
    Image: INFRA_IMAGE,
    Entrypoint: ['sh', '-c', WAIT],
    Cmd: [],
    ...(!host && { Hostname: asText(spec['hostname']) ?? pod.name }),
    Labels: { ...podLabels(pod), [KUBE_LABEL.pod]: pod.name, [KUBE_LABEL.role]: 'infra' },
    ExposedPorts: Object.fromEntries([...ports.keys()].map((port) => [port, {}])),
    StopTimeout: 1,
    HostConfig: {
      NetworkMode: host ? 'host' : network,
      IpcMode: spec['hostIPC'] === true ? 'host' : 'shareable',
      PortBindings: Object.fromEntries(ports),
      RestartPolicy: { Name: 'always' },
      ...(asList(dns['nameservers']).length > 0 && { Dns: asTexts(dns['nameservers']) }),
      ...(asList(dns['searches']).length > 0 && { DnsSearch: asTexts(dns['searches']) }),
      ...(asList(dns['options']).length > 0 && { DnsOptions: asList(dns['options']).map(asDict).map(dnsOption) }),
      ...(asList(spec['hostAliases']).length > 0 && {
        ExtraHosts: asList(spec['hostAliases'])
          .map(asDict)
          .flatMap((alias) => asTexts(alias['hostnames']).map((name) => `${name}:${textOf(alias['ip'])}`)),
      }),
      ...(asList(podwide['sysctls']).length > 0 && {
        Sysctls: Object.fromEntries(
          asList(podwide['sysctls'])
            .map(asDict)
            .map((item) => [textOf(item['name']), textOf(item['value'])]),
        ),
      }),
    },
    ...(!host &&
      !['bridge', 'none'].includes(network) && {
        NetworkingConfig: { EndpointsConfig: { [network]: { Aliases: [...new Set([pod.name, ...names])] } } },
      }),
  };
}

function dnsOption(option: Dict): string {
  const value = asText(option['value']);
  return value === undefined ? textOf(option['name']) : `${textOf(option['name'])}:${value}`;
}

/** `hostPort` of the containers, and what Services of type NodePort and LoadBalancer publish of the pod. */
function publishedPorts(
  pod: PodTemplate,
  objects: PlayObjects,
  warn: (message: string) => void,
): Map<string, PortBinding[]> {
  const ports = new Map<string, PortBinding[]>();
  const containers = asList(pod.spec['containers']).map(asDict);
  const add = (port: string, protocol: string, binding: PortBinding): void => {
    if (!/^\d+$/.test(port)) throw new EngineError('invalid-argument', `pod ${pod.name}: there is no port ${port}`);
    const key = `${port}/${protocol.toLowerCase()}`;
    const known = ports.get(key) ?? [];
    if (!known.some((one) => one.HostPort === binding.HostPort)) ports.set(key, [...known, binding]);
  };
  for (const container of containers)
    for (const port of asList(container['ports']).map(asDict))
      if (port['hostPort'] !== undefined && Number(port['hostPort']) !== 0)
        add(textOf(port['containerPort']), asText(port['protocol']) ?? 'tcp', {
          HostIp: asText(port['hostIP']) ?? '',
          HostPort: textOf(port['hostPort']),
        });
  for (const service of objects.services) {
    const spec = asDict(service['spec']);
    const type = asText(spec['type']) ?? 'ClusterIP';
    if (!selects(service, pod) || !['NodePort', 'LoadBalancer'].includes(type)) continue;
    for (const port of asList(spec['ports']).map(asDict)) {
      const published = type === 'NodePort' ? (port['nodePort'] ?? port['port']) : port['port'];
      const target = port['targetPort'] ?? port['port'];
      const owner = containers.find((one) => portOf(target, one) !== textOf(target)) ?? {};
      add(portOf(target, asDict(owner)), asText(port['protocol']) ?? 'tcp', {
        HostIp: '',
        HostPort: textOf(published),
      });
    }
    if (spec['externalName'] !== undefined) warn(`Service ${nameOf(service)}: externalName has no meaning here`);
  }
  return ports;
}
