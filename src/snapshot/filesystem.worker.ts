import { serveJobs } from '../base/worker-server.ts';
import { applyLayerJob } from './apply-layer-job.ts';

serveJobs({
  apply: applyLayerJob,
});
