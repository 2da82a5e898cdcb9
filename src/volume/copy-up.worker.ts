import { serveJobs } from '../base/worker-server.ts';
import { copyUpJob } from './copy-up-job.ts';

serveJobs({ copyUp: copyUpJob });
