import { errorAt, type Place, type Places } from './place.ts';
import { asDict, asList, asText, type Dict, isDict, textOf } from './value.ts';

/** What the schema cannot say: references that lead nowhere, cycles, clashes. `active` are the services that profiles leave. Throws with the place. */
export function checkConsistency(tree: Dict, places: Places, active: ReadonlySet<string>): void {
  const services = asDict(tree['services']);
  const ports = new Map<string, string>();
  const names = new Map<string, string>();
  for (const [name, item] of Object.entries(services)) {
    if (!active.has(name)) continue;
    const service = asDict(item);
    const at = (key: string): Place | undefined => places.get(service, key) ?? places.get(services, name);
    const fail = (key: string, message: string): never => {
      throw errorAt(at(key), `${message}: invalid compose project`);
    };
    if (!service['image'] && service['build'] === undefined && service['provider'] === undefined)
      fail('image', `service "${name}" has neither an image nor a build context specified`);
    const networks = Object.keys(asDict(service['networks']));
    if (service['network_mode'] !== undefined && networks.length > 0)
      fail('network_mode', `service ${name} declares mutually exclusive \`network_mode\` and \`networks\``);
    for (const network of networks)
      if (!(network in asDict(tree['networks'])))
        fail('networks', `service "${name}" refers to undefined network ${network}`);
    for (const mount of asList(service['volumes']).filter(isDict))
      if (
        mount['type'] === 'volume' &&
        asText(mount['source']) !== undefined &&
        !(textOf(mount['source']) in asDict(tree['volumes']))
      )
        fail('volumes', `service "${name}" refers to undefined volume ${textOf(mount['source'])}`);
    for (const kind of ['secrets', 'configs'])
      for (const use of asList(service[kind]).filter(isDict)) {
        const source = textOf(use['source']);
        const found = asDict(tree[kind])[source];
        if (!isDict(found)) fail(kind, `service "${name}" refers to undefined ${kind.slice(0, -1)} ${source}`);
      }
    for (const [wanted, how] of Object.entries(asDict(service['depends_on']))) {
      if (wanted === name) fail('depends_on', `service "${name}" depends on itself`);
      if (!active.has(wanted) && asDict(how)['required'] !== false)
        fail('depends_on', `service "${name}" depends on undefined service "${wanted}"`);
    }
    for (const use of asList(asDict(service['build'])['secrets']).filter(isDict))
      if (!isDict(asDict(tree['secrets'])[textOf(use['source'])]))
        fail('build', `service "${name}" refers to undefined build secret ${textOf(use['source'])}`);
    for (const model of Object.keys(asDict(service['models'])))
      if (!(model in asDict(tree['models']))) fail('models', `service "${name}" refers to undefined model ${model}`);
    const build = asDict(service['build']);
    if (build['dockerfile_inline'] !== undefined && build['dockerfile'] !== undefined)
      fail('build', `service "${name}" declares mutually exclusive dockerfile and dockerfile_inline`);
    for (const rule of asList(asDict(service['develop'])['watch']).filter(isDict))
      if (textOf(rule['action']).startsWith('sync') && rule['target'] === undefined)
        fail('develop', `services.${name}.develop.watch: target is required for the action ${textOf(rule['action'])}`);
    const restart = asText(service['restart']);
    if (restart !== undefined && !/^(no|always|unless-stopped|on-failure(:\d+)?)?$/.test(restart))
      fail('restart', `services.${name}.restart: invalid restart policy ${JSON.stringify(restart)}`);
    checkLimits(name, service, fail);
    const container = asText(service['container_name']);
    if (container !== undefined) {
      const other = names.get(container);
      if (other !== undefined)
        fail(
          'container_name',
          `services.${name}: container name "${container}" is already in use by "services.${other}"`,
        );
      names.set(container, name);
    }
    checkPorts(name, service, ports, fail);
  }
  for (const kind of ['networks', 'volumes'])
    for (const [key, item] of Object.entries(asDict(tree[kind]))) {
      const given = asDict(item);
      const more = Object.keys(given).find((name) => !['name', 'external'].includes(name) && !name.startsWith('x-'));
      if (given['external'] === true && more !== undefined)
        throw errorAt(
          places.get(given, more) ?? places.get(asDict(tree[kind]), key),
          `${kind}.${key}: conflicting parameters "external" and ${JSON.stringify(more)} specified`,
        );
    }
  for (const kind of ['secrets', 'configs']) {
    for (const [key, item] of Object.entries(asDict(tree[kind]))) {
      const given = asDict(item);
      const ways = ['file', 'environment', 'content', 'external'].filter(
        (way) => given[way] !== undefined && given[way] !== false,
      );
      if (ways.length === 0 && given['driver'] === undefined)
        throw errorAt(
          places.get(asDict(tree[kind]), key),
          `${kind}.${key}: one of file|environment|content must be set`,
        );
      if (ways.length > 1)
        throw errorAt(
          places.get(asDict(tree[kind]), key),
          `${kind}.${key}: ${ways.join('|')} attributes are mutually exclusive`,
        );
    }
  }
  checkCycles(services, places);
}

function checkLimits(name: string, service: Dict, fail: (key: string, message: string) => never): void {
  const deploy = asDict(service['deploy']);
  const limits = asDict(asDict(deploy['resources'])['limits']);
  const reservations = asDict(asDict(deploy['resources'])['reservations']);
  const pairs: [string, string, Dict, string][] = [
    ['cpus', 'deploy.resources.limits.cpus', limits, 'cpus'],
    ['mem_limit', 'deploy.resources.limits.memory', limits, 'memory'],
    ['pids_limit', 'deploy.resources.limits.pids', limits, 'pids'],
    ['mem_reservation', 'deploy.resources.reservations.memory', reservations, 'memory'],
    ['scale', 'deploy.replicas', deploy, 'replicas'],
  ];
  for (const [key, path, other, inner] of pairs)
    if (service[key] !== undefined && other[inner] !== undefined && textOf(service[key]) !== textOf(other[inner]))
      fail(key, `services.${name}: can't set distinct values on '${key}' and '${path}'`);
  const count = Number(service['scale'] ?? deploy['replicas'] ?? 1);
  if (count > 1 && service['container_name'] !== undefined)
    fail(
      'container_name',
      `services.${name}: can't set container_name and ${service['scale'] === undefined ? 'replicas' : 'scale'} as container name must be unique`,
    );
}

/** Two services cannot have the same port of the host: said before anything is created. */
function checkPorts(
  name: string,
  service: Dict,
  taken: Map<string, string>,
  fail: (key: string, message: string) => never,
): void {
  for (const port of asList(service['ports']).filter(isDict)) {
    const published = asText(port['published']);
    if (published === undefined || !/^\d+$/.test(published) || published === '0') continue;
    const protocol = asText(port['protocol']) ?? 'tcp';
    const address = asText(port['host_ip']) ?? '';
    const everywhere = ['', '0.0.0.0', '::'];
    for (const [key, other] of taken) {
      const [ip, number, proto] = key.split('|');
      if (number !== published || proto !== protocol || other === name) continue;
      if (ip === address || everywhere.includes(ip!) || everywhere.includes(address))
        fail(
          'ports',
          `services.${name}: port ${published}/${protocol} of the host is published by services.${other} already`,
        );
    }
    taken.set(`${address}|${published}|${protocol}`, name);
  }
}

function checkCycles(services: Dict, places: Places): void {
  const done = new Set<string>();
  const visit = (name: string, chain: readonly string[]): void => {
    if (chain.includes(name)) {
      const cycle = [...chain.slice(chain.indexOf(name)), name];
      throw errorAt(places.get(services, name), `dependency cycle detected: ${cycle.join(' -> ')}`);
    }
    if (done.has(name)) return;
    for (const wanted of Object.keys(asDict(asDict(services[name])['depends_on']))) visit(wanted, [...chain, name]);
    done.add(name);
  };
  for (const name of Object.keys(services)) visit(name, []);
}
