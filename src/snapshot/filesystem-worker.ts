import { WorkerThreads } from '../base/worker-job.ts';

/** Threads for all work on trees of files: synchronous system calls belong there, not on the event loop. */
export const filesystemWorker: WorkerThreads = new WorkerThreads('snapshot/filesystem');
