export { writeFileAtomic } from './atomic-file.js';
export { loadInstances, readInstances, validateInstance, writeInstances } from './instances.js';
export { type Interactions, readInteractions } from './interactions.js';
export { type JsonLine, readJsonLines, writeJsonLines } from './jsonl.js';
export { openRecboleFile, type RecboleColumn, type RecboleRow, type RecboleTable } from './recbole.js';
