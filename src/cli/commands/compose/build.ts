import { selectServices } from '../../../compose/project/project.ts';
import { CommandError } from '../../command.ts';
import { bool, bytes, list, map, string } from '../../flag.ts';
import { composeCommand } from './context.ts';
import { buildOrder, buildServices, checkService } from './build-service.ts';
import { pushService } from './make-image.ts';

export const build = composeCommand({
  usage: '[OPTIONS] [SERVICE...]',
  flags: {
    'build-arg': map('Set build-time variables for services'),
    memory: bytes('Set memory limit for the build container', { short: 'm' }),
    builder: string('Set builder to use (there is one, "default": the engine)'),
    check: bool('Check build configuration'),
    print: bool('Print equivalent bake file'),
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
    if (!['', 'default'].includes(flags.builder))
      throw new CommandError(
        `no builder ${JSON.stringify(flags.builder)} found: the engine itself builds (--builder default); choose another engine with -H or --context`,
      );
    const project = await compose.project(args);
    const services = selectServices(project, args, !flags['with-dependencies']);
    if (flags.check) {
      let code = 0;
      for (const service of services.values())
        if (service.builds) code = Math.max(code, await checkService(compose, project, service));
      return code;
    }
    const chosen = [...services.values()].filter(({ builds }) => builds);
    const options = {
      noCache: flags['no-cache'],
      pull: flags.pull,
      args: flags['build-arg'],
      quiet: flags.quiet,
      memory: flags.memory,
      ssh: flags.ssh,
      provenance: flags.provenance,
      sbom: flags.sbom,
    };
    if (flags.print) {
      const { bakeFile } = await import('./bake-file.ts');
      compose.cli.print(bakeFile(project, buildOrder(project, chosen), { ...options, push: flags.push }));
      return 0;
    }
    const built = await buildServices(compose, project, chosen, options);
    if (flags.push)
      for (const service of built)
        if (service.model['image'] !== undefined) await pushService(compose, service, flags.quiet);
    return 0;
  },
});
