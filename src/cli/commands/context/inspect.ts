import { command } from '../../command.ts';
import { ContextStore, DEFAULT_CONTEXT } from '../../contexts.ts';
import { resolveTarget } from '../../engine-client.ts';
import { string } from '../../flag.ts';
import { INSPECT_FORMAT_HELP } from '../../output/format-help.ts';
import { printInspect } from '../../output/inspect.ts';
import { goJson } from '../../../template/print.ts';

export const inspect = command({
  usage: '[OPTIONS] [CONTEXT] [CONTEXT...]',
  flags: { format: string(INSPECT_FORMAT_HELP, { short: 'f' }) },
  args: { min: 0 },
  complete: 'context',
  async run(cli, { flags, args }) {
    const store = new ContextStore(cli.configDirectory);
    const target = resolveTarget(cli);
    const names = args.length > 0 ? args : [target.context];
    return printInspect(cli, names, flags.format, async (name) => {
      if (name === DEFAULT_CONTEXT) {
        const memory = { MetadataPath: '<IN MEMORY>', TLSPath: '<IN MEMORY>' };
        const endpoint = { Host: target.host, SkipTLSVerify: target.tls?.verify === false };
        return Buffer.from(
          goJson({ Name: name, Metadata: {}, Endpoints: { docker: endpoint }, TLSMaterial: {}, Storage: memory }),
        );
      }
      const document = store.get(name);
      const files = store.tlsFiles(name);
      return Buffer.from(
        goJson({
          ...document,
          TLSMaterial: files.length === 0 ? {} : { docker: files },
          Storage: { MetadataPath: store.metadataPath(name), TLSPath: store.tlsPath(name) },
        }),
      );
    });
  },
});
