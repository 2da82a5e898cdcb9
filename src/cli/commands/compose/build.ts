import { selectServices } from '../../../compose/project/project.ts';
import { CommandError } from '../../command.ts';
import { bool, bytes, list, map, string } from '../../flag.ts';
import { composeCommand } from './context.ts';
import { buildServices, checkService } from './build-service.ts';
import { pushService } from './make-image.ts';

export const build = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    'build-arg': map('Set build-time variables for services'),
    memory: bytes('Set memory limit for the build container', { short: 'm' }),
    builder: string('Set builder to use (not supported: the engine builds)'),
    check: bool('Check build configuration'),
    print: bool('Print equivalent bake file (not supported: see gantry bake)'),
    provenance: string('Add a provenance attestation ("true", "false", "mode=max")'),
    sbom: string('Add a SBOM attestation ("true", "false")'),
    ssh: list('Set SSH authentications used when building service images ("default", "id=SOCKET", "id=KEY")'),
    'no-cache': bool('Do not use cache when building the image'),
    pull: bool('Always attempt to pull a newer version of the image'),
    push: bool('Push service images'),
    quiet: bool('Suppress the build output', { short: 'q' }),
    'with-dependencies': bool('Also build dependencies (transitively)'),
  },
  args: { min: 0 },
  async run(compose, { flags, args }) {
    for (const name of ['builder', 'print'] as const)
      if (flags[name] !== '' && flags[name] !== false)
        throw new CommandError(`--${name} is not supported by this version; nothing was built`);
    const project = await compose.project(args);
    const services = selectServices(project, args, !flags['with-dependencies']);
    if (flags.check) {
      let code = 0;
      for (const service of services.values())
        if (service.builds) code = Math.max(code, await checkService(compose, project, service));
      return code;
    }
    const chosen = [...services.values()].filter(({ builds }) => builds);
    const built = await buildServices(compose, project, chosen, {
      noCache: flags['no-cache'],
      pull: flags.pull,
      args: flags['build-arg'],
      quiet: flags.quiet,
      memory: flags.memory,
      ssh: flags.ssh,
      provenance: flags.provenance,
      sbom: flags.sbom,
    });
    if (flags.push)
      for (const service of built)
        if (service.model['image'] !== undefined) await pushService(compose, service, flags.quiet);
    return 0;
  },
});
