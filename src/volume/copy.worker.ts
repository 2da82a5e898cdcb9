import { serveJobs } from '../base/worker-server.ts';
import { copyUpJob } from './copy-up-job.ts';
import { copyVolumeJob, syncVolumeJob } from './copy-volume-job.ts';

serveJobs({ copyUp: copyUpJob, copyVolume: copyVolumeJob, syncVolume: syncVolumeJob });
