import fs from 'node:fs';
import { canonicalModel, canonicalYaml, escapeDollars, sortKeys } from '../../../compose/model/canonical.ts';
import { goJson, serviceHash, wireForm } from '../../../compose/model/hash.ts';
import { dropUnused } from '../../../compose/model/drop-unused.ts';
import { asDict, asList, asText, dict, type Dict, sortedKeys } from '../../../compose/model/value.ts';
import { yamlText } from '../../../compose/model/yaml-text.ts';
import { CommandError } from '../../command.ts';
import { bool, string } from '../../flag.ts';
import { layOut } from '../../output/table.ts';
import { composeCommand } from './context.ts';

export const config = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    environment: bool('Print environment used for interpolation.'),
    format: string('Format the output. Values: [yaml | json]', { initial: 'yaml', complete: ['yaml', 'json'] }),
    hash: string('Print the service config hash, one per line.'),
    images: bool('Print the image names, one per line.'),
    'lock-image-digests': bool('Produces an override file with image digests'),
    models: bool('Print the model names, one per line.'),
    networks: bool('Print the network names, one per line.'),
    'no-consistency': bool("Don't check model consistency - warning: may produce invalid Compose output"),
    'no-env-resolution': bool("Don't resolve service env files"),
    'no-interpolate': bool("Don't interpolate environment variables"),
    'no-normalize': bool("Don't normalize compose model"),
    'no-path-resolution': bool("Don't resolve file paths"),
    output: string('Save to file (default to stdout)', { short: 'o', complete: 'file' }),
    profiles: bool('Print the profile names, one per line.'),
    quiet: bool("Only validate the configuration, don't print anything", { short: 'q' }),
    'resolve-image-digests': bool('Pin image tags to digests'),
    services: bool('Print the service names, one per line.'),
    variables: bool('Print model variables and default values.'),
    volumes: bool('Print the volume names, one per line.'),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    const { cli } = compose;
    if (!['yaml', 'json'].includes(flags.format))
      throw new CommandError(`unsupported format ${JSON.stringify(flags.format)}: use yaml or json`);
    const wantsAll = flags.profiles;
    const loaded = await compose.load({
      services: args,
      interpolate: !flags['no-interpolate'] && !flags.variables,
      normalize: !flags['no-normalize'],
      resolvePaths: !flags['no-path-resolution'],
      resolveEnvironment: !flags['no-env-resolution'],
      readEnvFiles: flags.hash === '',
      checkConsistency: !flags['no-consistency'],
      ...(wantsAll ? { profiles: ['*'] } : {}),
    });
    const services = asDict(loaded.model['services']);
    for (const name of args) if (!(name in services)) throw new CommandError(`no such service: ${name}`);
    if (args.length > 0) keepServices(services, args);
    // what is not interpolated has its short forms still, of which nobody knows what they use
    if (!compose.flags['all-resources'] && !flags['no-interpolate']) dropUnused(loaded.model);
    const lines = (names: readonly string[]): number => {
      for (const name of names) cli.print(name);
      return 0;
    };
    if (flags.quiet) return 0;
    if (flags.environment) return lines([...loaded.environment].map(([name, value]) => `${name}=${value}`).sort());
    if (flags.variables) {
      const rows = [...loaded.variables.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      if (flags.format === 'json') {
        const documents = rows.map((item) => [
          item.name,
          { Name: item.name, DefaultValue: item.defaultValue, PresenceValue: item.alternate, Required: item.required },
        ]);
        cli.print(`${JSON.stringify(Object.fromEntries(documents), null, 4)}\n`);
        return 0;
      }
      cli.io.stdout.write(
        layOut(
          [
            ['NAME', 'REQUIRED', 'DEFAULT VALUE', 'ALTERNATE VALUE'],
            ...rows.map((item) => [item.name, String(item.required), item.defaultValue, item.alternate]),
          ],
          20,
        ),
      );
      return 0;
    }
    if (flags.services) return lines(sortedKeys(services));
    if (flags.profiles)
      return lines(
        [
          ...new Set(Object.values(services).flatMap((service) => asList(asDict(service)['profiles']).map(String))),
        ].sort(),
      );
    if (flags.volumes) return lines(sortedKeys(asDict(loaded.model['volumes'])));
    if (flags.networks) return lines(sortedKeys(asDict(loaded.model['networks'])));
    if (flags.models) {
      const models = asDict(loaded.model['models']);
      return lines(sortedKeys(models).map((name) => asText(asDict(models[name])['model']) ?? name));
    }
    if (flags.images)
      return lines(
        sortedKeys(services).map((name) => asText(asDict(services[name])['image']) ?? `${loaded.name}-${name}`),
      );
    if (flags.hash !== '') {
      const wanted = flags.hash === '*' ? sortedKeys(services) : flags.hash.split(',');
      for (const name of wanted) {
        if (!(name in services)) throw new CommandError(`no such service: ${name}`);
        cli.print(`${name} ${serviceHash(asDict(services[name]))}`);
      }
      return 0;
    }
    let shown = loaded.model;
    if (flags['resolve-image-digests'] || flags['lock-image-digests']) {
      const { pinnedImages } = await import('./image-digests.ts');
      const pinned = await pinnedImages(compose, services);
      for (const [name, image] of pinned) asDict(services[name])['image'] = image;
      if (flags['lock-image-digests']) shown = imagesOnly(pinned);
    }
    const model = canonicalModel(shown);
    let text: string;
    if (flags['no-interpolate'])
      text = flags.format === 'json' ? goJson(sortKeys(model), 2) : yamlText(sortKeys(model) as Dict);
    else text = flags.format === 'json' ? escapeDollars(goJson(jsonModel(model), 2)) : canonicalYaml(model);
    if (flags.format === 'json') text += '\n';
    if (flags.output !== '') fs.writeFileSync(flags.output, text);
    else cli.io.stdout.write(text);
    return 0;
  },
});

/** A file that, merged over the project's, gives its services these images. */
function imagesOnly(images: ReadonlyMap<string, string>): Dict {
  const services = [...images].map(([name, image]) => [name, dict([['image', image]])] as const);
  return dict([['services', dict(services)]]);
}

function keepServices(services: Dict, names: readonly string[]): void {
  const wanted = new Set<string>();
  const add = (name: string): void => {
    if (wanted.has(name) || !(name in services)) return;
    wanted.add(name);
    for (const other of Object.keys(asDict(asDict(services[name])['depends_on']))) add(other);
  };
  for (const name of names) add(name);
  for (const name of Object.keys(services)) if (!wanted.has(name)) delete services[name];
}

/** Docker's JSON has a few fields that its YAML leaves out. */
function jsonModel(model: Dict): Dict {
  const networks = asDict(model['networks']);
  for (const name of Object.keys(networks)) {
    const network = asDict(networks[name]);
    networks[name] =
      network['ipam'] === undefined
        ? dict([
            ['name', network['name']],
            ...['driver', 'driver_opts'].map((key) => [key, network[key]] as const),
            ['ipam', dict()],
            ...Object.entries(network).filter(([key]) => !['name', 'driver', 'driver_opts'].includes(key)),
          ])
        : network;
  }
  const services = asDict(model['services']);
  for (const name of Object.keys(services)) services[name] = wireForm(asDict(services[name]));
  return dict(sortedKeys(model).map((key) => [key, model[key]]));
}
