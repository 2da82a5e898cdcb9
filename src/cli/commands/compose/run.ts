import { randomBytes } from 'node:crypto';
import { errorCode } from '../../../base/errors.ts';
import { asDict, asList, dict, type Dict, textOf } from '../../../compose/model/value.ts';
import { portsOf, volumeOf } from '../../../compose/model/short-forms.ts';
import { shellWords } from '../../../compose/model/shell-words.ts';
import { toAbsolute } from '../../../compose/model/paths.ts';
import { containerRequest } from '../../../compose/project/container-request.ts';
import { LABEL } from '../../../compose/project/labels.ts';
import { checkSecrets, engineSecrets } from '../../../compose/project/engine-secrets.ts';
import { observe } from '../../../compose/project/observe.ts';
import { selectServices, type Service } from '../../../compose/project/project.ts';
import { createResources, presentNetworks } from '../../../compose/project/resources.ts';
import { boundFiles, checkFiles, injectFiles } from '../../../compose/project/secrets.ts';
import { checkEngine } from '../../../compose/project/support.ts';
import { Up } from '../../../compose/project/up.ts';
import { CommandError } from '../../command.ts';
import { bool, list, string } from '../../flag.ts';
import { readEnvironment } from '../../options/environment.ts';
import { followSize } from '../../terminal/resize.ts';
import { runSession } from '../../terminal/session.ts';
import { forwardSignals } from '../../terminal/signals.ts';
import { composeCommand } from './context.ts';
import { ensureImages } from './images.ts';

export const run = composeCommand({
  usage: '[OPTIONS] SERVICE [COMMAND] [ARGS...]',
  flags: {
    build: bool('Build image before starting container'),
    'cap-add': list('Add Linux capabilities'),
    'cap-drop': list('Drop Linux capabilities'),
    detach: bool('Run container in background and print container ID', { short: 'd' }),
    entrypoint: string('Override the entrypoint of the image'),
    env: list('Set environment variables', { short: 'e' }),
    'env-from-file': list('Set environment variables from file', { complete: 'file' }),
    interactive: bool('Keep STDIN open even if not attached', { short: 'i', initial: true }),
    label: list('Add or override a label', { short: 'l' }),
    name: string('Assign a name to the container'),
    'no-TTY': bool('Disable pseudo-TTY allocation', { short: 'T' }),
    'no-deps': bool("Don't start linked services"),
    publish: list("Publish a container's port(s) to the host", { short: 'p' }),
    pull: string('Pull image before running ("always"|"missing"|"never")'),
    quiet: bool("Don't print anything to STDOUT", { short: 'q' }),
    'quiet-build': bool('Suppress progress output from the build process'),
    'quiet-pull': bool('Pull without printing progress information'),
    'remove-orphans': bool('Remove containers for services not defined in the Compose file'),
    rm: bool('Automatically remove the container when it exits'),
    'service-ports': bool("Run command with all service's ports enabled and mapped to the host", { short: 'P' }),
    'use-aliases': bool("Use the service's network useAliases in the network(s) the container connects to"),
    user: string('Run as specified username or uid', { short: 'u' }),
    volume: list('Bind mount a volume', { short: 'v' }),
    workdir: string('Working directory inside the container', { short: 'w' }),
  },
  args: { min: 1 },
  interspersed: false,
  async run(compose, { flags, given, args }) {
    const { cli } = compose;
    const [name, ...words] = args;
    const project = await compose.projectToRun([name!]);
    const wanted = selectServices(project, [name!]);
    const service = wanted.get(name!)!;
    const client = await compose.client();
    const dependencies = new Map([...wanted].filter(([other]) => other !== name));
    const tty = !flags['no-TTY'] && !flags.detach && cli.io.stdout.isTTY && cli.io.stdinIsTTY;
    const stdin = flags.interactive && !flags.detach;
    const own = readEnvironment(flags['env-from-file'], flags.env, cli.env).map((item): [string, string | null] =>
      item.includes('=') ? [item.slice(0, item.indexOf('=')), item.slice(item.indexOf('=') + 1)] : [item, null],
    );
    const one = oneOff(service, {
      ...(words.length === 0 ? {} : { command: words }),
      ...(given.has('entrypoint') ? { entrypoint: shellWords(flags.entrypoint) } : {}),
      ...(flags.user === '' ? {} : { user: flags.user }),
      ...(flags.workdir === '' ? {} : { working_dir: flags.workdir }),
      labels: dict([
        ...Object.entries(asDict(service.model['labels'])),
        ...flags.label.map((item): [string, string] => [
          item.split('=')[0]!,
          item.includes('=') ? item.slice(item.indexOf('=') + 1) : '',
        ]),
      ]),
      ports: [
        ...(flags['service-ports'] ? asList(service.model['ports']) : []),
        ...flags.publish.flatMap((item) => portsOf(item)),
      ],
      volumes: [
        ...asList(service.model['volumes']),
        ...flags.volume.map((item) => {
          const mount = volumeOf(item);
          if (mount['type'] === 'bind')
            mount['source'] = toAbsolute(textOf(mount['source']), { directory: process.cwd(), home: cli.env['HOME'] });
          return mount;
        }),
      ],
      ...(flags['cap-add'].length === 0 ? {} : { cap_add: [...asList(service.model['cap_add']), ...flags['cap-add']] }),
      ...(flags['cap-drop'].length === 0
        ? {}
        : { cap_drop: [...asList(service.model['cap_drop']), ...flags['cap-drop']] }),
      tty,
      stdin_open: stdin,
      restart: 'no',
    });
    checkFiles(project, service);
    await checkEngine(client, [service]);
    await checkSecrets(client, project, [service]);
    await ensureImages(compose, flags['no-deps'] ? new Map([[name!, service]]) : wanted, {
      build: flags.build ? 'always' : 'missing',
      pull: flags.pull,
      quietPull: flags['quiet-pull'],
      quietBuild: flags['quiet-build'],
      project,
    });
    const containers = new Map<string, string[]>();
    const options = {
      recreate: 'diverged' as const,
      removeOrphans: flags['remove-orphans'],
      renewVolumes: false,
      onProgress: compose.onProgress,
      warn: (text: string) => compose.warn(text),
    };
    if (!flags['no-deps'] && dependencies.size > 0) {
      const up = new Up(client, project, {
        ...options,
        services: dependencies,
        providers: await compose.providers(project),
      });
      for (const [other, ids] of await up.create()) containers.set(other, ids);
      await up.start(containers);
      await up.waitForDependencies(service, containers);
    } else {
      const observed = await observe(client, project.name);
      for (const item of observed.containers)
        containers.set(item.service, [...(containers.get(item.service) ?? []), item.id]);
      await createResources(
        client,
        project,
        (await presentNetworks(client, project, observed)).ids,
        observed,
        compose.onProgress,
      );
    }
    // Here, because what the service depends on may have set variables of it.
    one.model['environment'] = dict([...Object.entries(asDict(service.model['environment'])), ...own]);
    const slug = randomBytes(6).toString('hex');
    const image = await client.images.inspect(service.image);
    const request = containerRequest(
      { ...one, model: { ...one.model, volumes: [...asList(one.model['volumes']), ...boundFiles(project, service)] } },
      {
        project,
        number: 1,
        imageId: image.Id,
        oneOff: true,
        aliases: flags['use-aliases'],
        containerOf: (other) => {
          const id = containers.get(other)?.[0];
          if (id === undefined)
            throw new CommandError(`service ${name} needs a container of ${other}, and there is none`);
          return id;
        },
      },
    );
    Object.assign(request.Labels!, { [LABEL.slug]: slug });
    Object.assign(request, { AttachStdin: stdin, StdinOnce: stdin });
    if (flags.rm) request.HostConfig!.AutoRemove = flags.detach;
    const secrets = await engineSecrets(client, project, service, compose.onProgress);
    if (secrets?.length) request.HostConfig!.Secrets = secrets;
    const { Id: id } = await client.containers.create(request, {
      name: flags.name || `${project.name}-${name}-run-${slug}`,
    });
    try {
      await injectFiles(client, project, service, id, { secretsToo: secrets === undefined });
      if (flags.detach) {
        await client.containers.start(id);
        if (!flags.quiet) cli.print(id);
        return 0;
      }
      return await attachAndStart();
    } finally {
      if (flags.rm && !flags.detach)
        await client.containers.remove(id, { force: true, volumes: true }).catch((error: unknown) => {
          if (errorCode(error) !== 'not-found') throw error;
        });
    }

    async function attachAndStart(): Promise<number> {
      const stream = await client.containers.attach(id, { stdin, stdout: true, stderr: true, stream: true });
      const { outcome } = await client.containers.wait(id, 'next-exit');
      const stopSignals = tty ? () => {} : forwardSignals((signal) => client.containers.kill(id, signal));
      const session = runSession(cli, stream, { tty, stdin, detachKeys: '' });
      session.catch(() => {}); // looked at below, after the start
      let stopSize = (): void => {};
      try {
        try {
          await client.containers.start(id);
        } catch (error) {
          stream.close();
          throw error;
        }
        if (tty) stopSize = followSize(cli, (size) => client.containers.resize(id, size));
        if ((await session) === 'detached') return 0;
        return (await outcome).StatusCode;
      } finally {
        stopSize();
        stopSignals();
      }
    }
  },
});

function oneOff(service: Service, changes: Dict): Service {
  const model = dict([...Object.entries(service.model), ...Object.entries(changes)]);
  delete model['container_name'];
  return { ...service, model };
}
