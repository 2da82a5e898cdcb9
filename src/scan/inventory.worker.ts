import { type JobHandler, serveJobs } from '../base/worker-server.ts';
import { scanDirectories } from './layer-directories.ts';

const directories: JobHandler = ({ paths }: { paths: readonly string[] }, context) =>
  scanDirectories(paths, () => context.check());

serveJobs({ directories });
