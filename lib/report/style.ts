/** The look of the report, light and dark. */
export const kStyle = `
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#5c6778;--line:#e2e6ec;--grid:#eceff3;
--accent:#2f6fed;--s0:#2f6fed;--s1:#e07b27;--s2:#1f9d74;--s3:#b0489b;--s4:#8a6d1d;--s5:#7c8797;--s6:#c23b3b;--s7:#2a9db3;--s8:#6a5acd;--good:#13795b;--good-bg:#e3f5ee;--bad:#b3312c;--bad-bg:#fdecea;--idle-bg:#eef1f5;--note-bg:#f0f4ff}
@media(prefers-color-scheme:dark){:root{--page:#11151c;--card:#191f29;--ink:#e4e9f1;--soft:#98a4b6;--line:#2a3240;--grid:#252d39;
--accent:#77a5ff;--s0:#77a5ff;--s1:#f0a35e;--s2:#56cba1;--s3:#dd86cb;--s4:#d3b04f;--s5:#8d99ab;--s6:#ff8f8a;--s7:#6fd0e3;--s8:#a89bff;--good:#6fd6b0;--good-bg:#16352b;--bad:#ff938c;--bad-bg:#3d1f1e;--idle-bg:#252d39;--note-bg:#1a2438}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:1140px;margin:0 auto;padding:32px 20px 64px}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:6px 14px}
h1{font-size:26px;line-height:1.2;margin:0;letter-spacing:-.01em}
h2{font-size:17px;margin:36px 0 12px;letter-spacing:-.005em}
p{margin:0 0 10px}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:12.5px}
.badge{font-size:12px;font-weight:600;padding:2px 10px;border-radius:99px;background:var(--idle-bg);color:var(--soft)}
.badge.completed{background:var(--good-bg);color:var(--good)}.badge.failed{background:var(--bad-bg);color:var(--bad)}
.facts{color:var(--soft);margin:6px 0 20px}
.notes{background:var(--note-bg);border-radius:10px;padding:12px 16px;margin:0 0 20px}.notes p:last-child{margin:0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px}
.card,figure.chart,.panel{background:var(--card);border:1px solid var(--line);border-radius:10px}
.card{padding:12px 16px}.card span{display:block;color:var(--soft);font-size:12.5px}
.card b{font-size:24px;font-weight:600;letter-spacing:-.01em;font-variant-numeric:tabular-nums}.card em{font-style:normal;color:var(--soft);font-size:12.5px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:14px}
figure.chart{margin:0;padding:12px 14px 6px;position:relative}
figcaption{display:flex;flex-wrap:wrap;gap:0 8px;align-items:baseline}figcaption strong{font-weight:600}figcaption span{color:var(--soft);font-size:12.5px}
figure svg{display:block;width:100%;height:auto;touch-action:pan-y}
figure output{position:absolute;top:12px;right:14px;font-size:12px;color:var(--ink);background:var(--card);padding-left:10px;font-variant-numeric:tabular-nums}
.grid{stroke:var(--grid)}.tick,.mark-label{font-size:11px;fill:var(--soft);font-variant-numeric:tabular-nums}
.mark{stroke:var(--soft);stroke-dasharray:3 3;opacity:.7}.cursor{stroke:var(--soft);opacity:.6}
polyline{fill:none;stroke:currentColor;stroke-linejoin:round}.raw{stroke-width:1;opacity:.3}.line{stroke-width:1.8}.dot{fill:currentColor}
.s0{color:var(--s0)}.s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}.s4{color:var(--s4)}
.s5{color:var(--s5)}.s6{color:var(--s6)}.s7{color:var(--s7)}.s8{color:var(--s8)}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;list-style:none;margin:2px 0 0;padding:0;font-size:12.5px}
.legend li::before,.key::before{content:"";display:inline-block;width:10px;height:10px;border-radius:3px;background:currentColor;margin-right:6px}
.legend li.plain::before{content:none}
.panel{padding:4px 0;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:8px 16px;text-align:right;white-space:nowrap}th:first-child,td:first-child{text-align:left}
thead th{font-size:12.5px;font-weight:600;color:var(--soft)}tbody tr{border-top:1px solid var(--line)}
tr.baseline td{color:var(--soft)}tr.best td{font-weight:600}
.hint{margin:6px 16px 8px;color:var(--soft);font-size:12px}
td small{display:block;color:var(--soft);font-weight:400;font-size:11.5px}
.gain{font-weight:600}.gain.up{color:var(--good)}.gain.down{color:var(--bad)}
.bar{display:flex;height:22px;border-radius:6px;overflow:hidden;margin:14px 16px 8px}.bar i{display:block;background:currentColor}
.panel .legend{padding:0 16px 10px}
.samples{padding:14px 16px}
.pager{display:flex;gap:10px;align-items:center;margin-bottom:12px;flex-wrap:wrap}.pager output{color:var(--soft);font-variant-numeric:tabular-nums}
button,select{font:inherit;color:inherit;background:var(--idle-bg);border:1px solid var(--line);border-radius:7px;padding:3px 12px;cursor:pointer}
button:disabled{opacity:.4;cursor:default}button:focus-visible,select:focus-visible,summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;line-height:1.5}
.prompt{max-height:260px;overflow:auto;background:var(--page);border:1px solid var(--line);border-radius:8px;padding:10px 12px}
.completion{border-top:1px solid var(--line);padding:10px 0 8px;margin-top:10px}.completion .meta{display:flex;flex-wrap:wrap;gap:4px 12px;font-size:12.5px;color:var(--soft);margin-bottom:4px}
.tag{padding:0 8px;border-radius:99px;font-weight:600;background:var(--idle-bg)}.tag.ok{background:var(--good-bg);color:var(--good)}.tag.bad{background:var(--bad-bg);color:var(--bad)}
.order{margin:12px 0;padding-left:30px;columns:2 260px}.order li{break-inside:avoid}.order .relevant{font-weight:600}.order .tag{margin-left:8px;font-size:12px}
.completion .hint{margin:0 0 6px}
details{margin-top:28px}summary{cursor:pointer;color:var(--soft)}details pre{margin-top:10px;padding:12px 16px}
footer{margin-top:40px;color:var(--soft);font-size:12.5px}
@media print{figure.chart,.panel,.card{break-inside:avoid}}
`;
