import { WorkerThreads } from '../base/worker-job.ts';

/** The threads that copy files of volumes. */
export const copyThreads = new WorkerThreads('volume/copy');
