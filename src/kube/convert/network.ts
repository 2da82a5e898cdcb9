import { asDict, asList, asText, type Dict, dict, textOf } from '../../compose/model/value.ts';
import { resource, type Service } from '../../compose/project/project.ts';
import { kubeName } from '../names.ts';
import { containerPorts, isSet, portName } from './container.ts';
import { type ConvertContext, keep, object, selectorOf } from './context.ts';
import { isLoopback, networkLabel, publishedPorts } from './pod.ts';

/** A Service by which the others find it by its name, and one for what it publishes. Gives the name of the first. */
export function services(context: ConvertContext, service: Service, options: { readonly headless: boolean }): string {
  const { project } = context;
  const open = containerPorts(service.model).map((one) =>
    dict([
      ['name', portName(one)],
      ['port', one.port],
      ['targetPort', portName(one)],
      ['protocol', one.protocol],
    ]),
  );
  const endpoint = asText(asDict(service.model['deploy'])['endpoint_mode']);
  const headless = options.headless || open.length === 0 || endpoint === 'dnsrr';
  const spec = (more: Dict): Dict =>
    dict([['spec', dict([['selector', selectorOf(project, service)], ...Object.entries(more)])]]);
  const name = kubeName(service.name);
  const aliases = Object.values(asDict(service.model['networks'])).flatMap((one) =>
    asList(asDict(one)['aliases']).map(String),
  );
  for (const known of new Set([name, ...aliases.map((alias) => kubeName(alias))])) {
    const ports = dict([
      ['clusterIP', headless ? 'None' : undefined],
      ['ports', open.length > 0 ? open : undefined],
    ]);
    keep(context, object('v1', 'Service', known, project, spec(ports)));
  }
  publish(context, service, spec);
  return name;
}

function publish(context: ConvertContext, service: Service, spec: (more: Dict) => Dict): void {
  const field = `services.${service.name}.ports`;
  const ports: Dict[] = [];
  for (const item of publishedPorts(service.model)) {
    const published = textOf(item['published']);
    const host = asText(item['host_ip']) ?? '';
    if (isLoopback(item)) {
      context.report.add(
        field,
        `${published} is published on ${host} alone: it is not published (kubectl port-forward leads to it)`,
      );
      continue;
    }
    if (host !== '' && host !== '0.0.0.0' && host !== '::')
      context.report.add(field, `the address ${host} has no counterpart: the load balancer has its own`);
    if (!/^\d+$/.test(published)) {
      context.report.add(field, `the range ${published} has no counterpart: give one port`);
      continue;
    }
    const protocol = (asText(item['protocol']) ?? 'tcp').toUpperCase();
    ports.push(
      dict([
        ['name', `${protocol.toLowerCase()}-${published}`],
        ['port', Number(published)],
        ['targetPort', Number(item['target'])],
        ['protocol', protocol],
      ]),
    );
  }
  if (ports.length === 0) return;
  const name = kubeName(service.name, 'published');
  keep(
    context,
    object(
      'v1',
      'Service',
      name,
      context.project,
      spec(
        dict([
          ['type', 'LoadBalancer'],
          ['ports', ports],
        ]),
      ),
    ),
  );
}

/** Who is in a network of the file reaches who else is in it; what is published is reached by all. */
export function networkPolicies(context: ConvertContext, active: readonly Service[]): void {
  const { project, report } = context;
  const used = new Set(active.flatMap((service) => Object.keys(asDict(service.model['networks']))));
  for (const key of [...used].sort()) {
    const network = resource(project, 'networks', key);
    const field = `networks.${key}`;
    const peers = [dict([['podSelector', dict([['matchLabels', dict([[networkLabel(key), 'true']])]])]])];
    const internal = network['internal'] === true;
    const spec = dict([
      ['podSelector', dict([['matchLabels', dict([[networkLabel(key), 'true']])]])],
      ['policyTypes', internal ? ['Ingress', 'Egress'] : ['Ingress']],
      ['ingress', [dict([['from', peers]])]],
      ['egress', internal ? [dict([['to', peers]]), nameServers()] : undefined],
    ]);
    keep(
      context,
      object('networking.k8s.io/v1', 'NetworkPolicy', kubeName('network', key), project, dict([['spec', spec]])),
    );
    if (internal)
      for (const service of active) {
        const others = Object.keys(asDict(service.model['networks'])).filter((other) => other !== key);
        if (others.includes(key) || !(key in asDict(service.model['networks']))) continue;
        if (others.length > 0)
          report.add(
            `services.${service.name}.networks`,
            `is in the internal network ${key} and in others: it reaches pods of ${key} and what other policies allow`,
          );
      }
    for (const option of ['driver', 'driver_opts', 'ipam', 'enable_ipv6', 'enable_ipv4', 'attachable', 'labels'])
      if (isSet(network[option]) && !(option === 'driver' && network[option] === 'bridge'))
        report.add(`${field}.${option}`, 'has no counterpart: the cluster has one network');
    if (network['external'] === true)
      report.add(`${field}.external`, 'pods of other projects are not known: only this one’s are let in');
  }
  for (const service of active) {
    const ports = publishedPorts(service.model).filter((item) => !isLoopback(item));
    if (ports.length > 0) openPorts(context, service, ports);
    if (asText(service.model['network_mode']) === 'none')
      keep(
        context,
        object(
          'networking.k8s.io/v1',
          'NetworkPolicy',
          kubeName(service.name, 'none'),
          project,
          dict([
            [
              'spec',
              dict([
                ['podSelector', dict([['matchLabels', selectorOf(project, service)]])],
                ['policyTypes', ['Ingress', 'Egress']],
              ]),
            ],
          ]),
        ),
      );
    for (const [key, value] of Object.entries(asDict(service.model['networks'])))
      for (const option of Object.keys(asDict(value)))
        if (option !== 'aliases' && isSet(asDict(value)[option]))
          report.add(`services.${service.name}.networks.${key}.${option}`, 'has no counterpart');
  }
}

function openPorts(context: ConvertContext, service: Service, ports: readonly Dict[]): void {
  const spec = dict([
    ['podSelector', dict([['matchLabels', selectorOf(context.project, service)]])],
    ['policyTypes', ['Ingress']],
    [
      'ingress',
      [
        dict([
          [
            'ports',
            ports.map((item) =>
              dict([
                ['port', Number(item['target'])],
                ['protocol', (asText(item['protocol']) ?? 'tcp').toUpperCase()],
              ]),
            ),
          ],
        ]),
      ],
    ],
  ]);
  keep(
    context,
    object(
      'networking.k8s.io/v1',
      'NetworkPolicy',
      kubeName(service.name, 'published'),
      context.project,
      dict([['spec', spec]]),
    ),
  );
}

function nameServers(): Dict {
  return dict([
    [
      'ports',
      ['UDP', 'TCP'].map((protocol) =>
        dict([
          ['port', 53],
          ['protocol', protocol],
        ]),
      ),
    ],
  ]);
}
