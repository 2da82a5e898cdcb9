import type { JobHandler, Jobs } from '../base/worker-server.ts';
import { scanDirectories } from './layer-directories.ts';

const directories: JobHandler = ({ paths }: { paths: readonly string[] }, context) =>
  scanDirectories(paths, () => context.check());

export const jobs: Jobs = { directories };
