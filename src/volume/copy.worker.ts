import type { Jobs } from '../base/worker-server.ts';
import { changeOwnerJob } from './change-owner-job.ts';
import { copyUpJob } from './copy-up-job.ts';
import { copyVolumeJob, syncVolumeJob } from './copy-volume-job.ts';

export const jobs: Jobs = {
  changeOwner: changeOwnerJob,
  copyUp: copyUpJob,
  copyVolume: copyVolumeJob,
  syncVolume: syncVolumeJob,
};
