import type { Jobs } from '../base/worker-server.ts';
import { applyLayerJob } from './apply-layer-job.ts';
import { changesJob } from './changes-job.ts';
import { compressJob } from './compress-layer-job.ts';
import { archiveGetJob, archivePutJob, archiveStatJob } from './container-archive-job.ts';
import { archiveJob, digestJob } from './diff-layer-job.ts';
import { syncTreesJob } from './sync-trees-job.ts';
import type { ShiftedIds } from './shifted-ids.ts';
import { removeJob, syncJob, usageJob } from './tree-jobs.ts';

export const jobs: Jobs = {
  apply: applyLayerJob,
  'archive-get': archiveGetJob,
  'archive-put': archivePutJob,
  'archive-stat': archiveStatJob,
  changes: changesJob,
  compress: compressJob,
  diff: ({ directory }: { directory: string }, context) => archiveJob({ directory, overlay: true }, context),
  digest: digestJob,
  remove: removeJob,
  sync: syncJob,
  'sync-trees': syncTreesJob,
  tree: ({ directory, ids }: { directory: string; ids?: ShiftedIds }, context) =>
    archiveJob({ directory, overlay: false, ids }, context),
  usage: usageJob,
};
