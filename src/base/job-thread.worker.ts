import { serveJobs } from './worker-server.ts';

// The code of a job comes with the first one of its kind.
serveJobs();
