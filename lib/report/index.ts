export { type ConsoleOptions, ConsoleReporter } from './console.js';
export { kMeasures, usedMeasures } from './evaluation-table.js';
export { formatCount, formatDuration, formatNumber, formatPercent } from './format.js';
export { renderReport, writeHtmlReport } from './html.js';
export { LiveReport } from './live-report.js';
export { planText } from './plan-text.js';
export { type RunData, type RunFacts, type RunStatus, readRunData } from './run-data.js';
export { TensorBoardWriter } from './tensorboard.js';
