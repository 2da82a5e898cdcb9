import type { JobContext, Jobs } from '../../../base/worker-server.ts';
import { TarParser } from '../../../content/tar/parser.ts';
import { freeBytes, readArchive } from '../../../snapshot/apply-layer-job.ts';
import { ContextReceiver } from './context-receiver.ts';
import type { ReceivedContext, ReceiveParameters } from './uploaded-contexts.ts';

export const jobs: Jobs = {
  /** Takes a context in; what was sent before is neither written nor linked again. */
  receive: async (parameters: ReceiveParameters, context: JobContext): Promise<ReceivedContext> => {
    await using receiver = new ContextReceiver(parameters, freeBytes(parameters.store));
    const parser = new TarParser(receiver);
    await readArchive({ allowExternal: true }, context, (chunk) => parser.push(chunk));
    parser.finish();
    return receiver.finish();
  },
};
