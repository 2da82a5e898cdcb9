import { type ArtifactFile } from '../../../compose/artifact/artifact.ts';
import { publishedFiles } from '../../../compose/artifact/publication.ts';
import { likelySecrets } from '../../../compose/artifact/likely-secrets.ts';
import type { LoadedProject } from '../../../compose/model/load.ts';
import { asDict, asList, asText, type Dict, sortedKeys } from '../../../compose/model/value.ts';
import { CommandError } from '../../command.ts';
import { pushProject } from '../../compose-artifact.ts';
import { confirm } from '../../confirm.ts';
import { bool, string } from '../../flag.ts';
import { namedReference } from '../../remote.ts';
import { composeCommand } from './context.ts';
import { pinnedImages } from './image-digests.ts';

export const publish = composeCommand({
  usage: '[OPTIONS] REPOSITORY[:TAG]',
  examples: `# The project's files, as an artifact in a registry
gantry compose publish registry.lan/shop:1
# And run from there
gantry compose -f oci://registry.lan/shop:1 up -d`,
  flags: {
    app: bool('Published compose application (includes referenced images)'),
    'oci-version': string('OCI image/artifact specification version (automatically determined by default)', {
      complete: ['1.0', '1.1'],
    }),
    'resolve-image-digests': bool('Pin image tags to digests'),
    'with-env': bool('Include environment variables in the published OCI artifact'),
    yes: bool('Assume "yes" as answer to all prompts', { short: 'y' }),
  },
  args: { min: 1, max: 1 },
  async run(compose, { flags, args }) {
    const version = flags['oci-version'] || '1.1';
    if (version !== '1.0' && version !== '1.1')
      throw new CommandError(`unsupported OCI version ${JSON.stringify(version)}: use 1.0 or 1.1`);
    const name = namedReference(args[0]!);
    if (name.digest !== undefined) throw new CommandError(`${args[0]} has a digest: publish under a tag`);
    // As written: what env files say is theirs, not the services'.
    const loaded = await compose.load({ profiles: ['*'], resolveEnvironment: false });
    const services = asDict(loaded.model['services']);
    checkBuilt(services);
    checkEnvironment(services, flags['with-env']);
    for (const text of leftBehind(loaded.model)) compose.warn(text);
    const files = filesOf(loaded);
    const ask = async (text: string, question: string): Promise<boolean> => {
      if (text === '' || flags.yes) return true;
      compose.cli.warn(text);
      return confirm(compose.cli, question);
    };
    const agreed =
      (await ask(
        flags['with-env'] ? environmentText(services) : '',
        'Are you ok to publish these environment variables?',
      )) &&
      (await ask(bindText(services), 'Are you ok to publish these bind mount declarations?')) &&
      (await ask(secretsText(files), 'Are you ok to publish these sensitive data?'));
    if (!agreed) {
      compose.cli.warn('nothing was published');
      return 0;
    }
    const pins = flags.app || flags['resolve-image-digests'] ? await pinnedImages(compose, services) : undefined;
    if (pins) files.push({ kind: 'compose', name: 'image-digests.yaml', content: pinsFile(pins) });
    compose.onProgress({ kind: 'Project', name: args[0]!, status: 'Publishing' });
    if (!compose.flags['dry-run']) {
      const images = flags.app ? [...new Set(pins!.values())] : undefined;
      const digest = await pushProject(compose.cli, name, files, { version, images });
      compose.onProgress({ kind: 'Project', name: args[0]!, status: 'Published' });
      compose.cli.print(digest);
    }
    return 0;
  },
});

function filesOf(loaded: LoadedProject): ArtifactFile[] {
  if (loaded.files.includes('-')) throw new CommandError('a project from stdin cannot be published: name its files');
  return publishedFiles(loaded.files, {
    directory: loaded.directory,
    lookup: loaded.lookup,
    home: loaded.environment.get('HOME'),
  });
}

/** Who takes the project elsewhere has no files to build from. */
function checkBuilt(services: Dict): void {
  const unnamed = sortedKeys(services).filter((name) => {
    const service = asDict(services[name]);
    return service['build'] !== undefined && service['image'] === undefined;
  });
  if (unnamed.length > 0)
    throw new CommandError(
      `the project cannot be published: give the services ${unnamed.join(', ')} an image, which they are built as, and push it`,
    );
}

function checkEnvironment(services: Dict, allowed: boolean): void {
  if (allowed) return;
  const found = sortedKeys(services).flatMap((name) => {
    const service = asDict(services[name]);
    return [
      ...(asList(service['env_file']).length > 0 ? [`service "${name}" has env_file declared.`] : []),
      ...(Object.keys(asDict(service['environment'])).length > 0
        ? [`service "${name}" has environment variable(s) declared.`]
        : []),
    ];
  });
  if (found.length > 0)
    throw new CommandError(
      `${found.join('\n')}\nTo avoid leaking sensitive data, you must either explicitly allow the sending of environment variables by using the --with-env flag,\nor remove sensitive data from your Compose configuration`,
    );
}

function environmentText(services: Dict): string {
  const lines = sortedKeys(services).flatMap((name) => {
    const given = asDict(asDict(services[name])['environment']);
    const variables = sortedKeys(given).map((key) => `${key}=${asText(given[key]) ?? ''}`);
    return variables.length === 0 ? [] : [`Service/Config  ${name}`, ...variables];
  });
  return lines.length === 0
    ? ''
    : `you are about to publish environment variables within your OCI artifact.\nplease double check that you are not leaking sensitive data\n${lines.join('\n')}`;
}

function bindText(services: Dict): string {
  const lines = sortedKeys(services).flatMap((name) =>
    asList(asDict(services[name])['volumes'])
      .map(asDict)
      .filter((mount) => mount['type'] === 'bind')
      .map((mount) => `${name}  ${asText(mount['source'])}:${asText(mount['target'])}`),
  );
  return lines.length === 0
    ? ''
    : `you are about to publish bind mounts declaration within your OCI artifact.\nonly the bind mount declarations will be added to the OCI artifact (not content)\nplease double check that you are not mounting potential user's sensitive directories or data\n${lines.join('\n')}`;
}

function secretsText(files: readonly ArtifactFile[]): string {
  const lines = files.flatMap(({ name, content }) =>
    likelySecrets(content.toString('utf8')).map(({ kind, line }) => `${name}:${line}: ${kind}`),
  );
  return lines.length === 0
    ? ''
    : `you are about to publish what looks like sensitive data within your OCI artifact.\n${lines.join('\n')}`;
}

/** Files that the project names and that are no part of an artifact. */
function leftBehind(model: Dict): string[] {
  const found: string[] = [];
  for (const kind of ['configs', 'secrets'])
    for (const name of sortedKeys(asDict(model[kind])))
      if (asDict(asDict(model[kind])[name])['file'] !== undefined)
        found.push(`${kind}.${name}.file is not published: it has to be where the project is run`);
  for (const [name, service] of Object.entries(asDict(model['services'])))
    if (asDict(service)['label_file'] !== undefined)
      found.push(`services.${name}.label_file is not published: it has to be where the project is run`);
  return found;
}

function pinsFile(pins: ReadonlyMap<string, string>): Buffer {
  const lines = [...pins].map(([name, image]) => `  ${JSON.stringify(name)}:\n    image: ${JSON.stringify(image)}\n`);
  return Buffer.from(`services:\n${lines.join('')}`);
}
