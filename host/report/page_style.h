// The style of the report's pages.
#pragma once

namespace felbo::report {

/// Six colours for series, which people with any of the usual colour deficiencies can tell apart (after Okabe
/// and Ito, 2008), darkened on white and lightened on black until lines have a contrast of 3 to 1 and text
/// of 4.5 to 1.
inline constexpr const char* kPageStyle = R"css(
:root{color-scheme:light dark;--paper:#fdfdfb;--card:#fff;--ink:#1b1f24;--soft:#565e68;--hair:#dfe2e6;--mark:#fff6d6;
--s0:#0064a4;--s1:#c4500a;--s2:#00805c;--s3:#95408a;--s4:#4d5560;--s5:#8a6a00}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1a1e23;--ink:#e7e9ec;--soft:#a3acb6;--hair:#31373e;
--mark:#3a3216;--s0:#63b7ee;--s1:#ff9a5c;--s2:#3fd3a4;--s3:#e394d6;--s4:#c3cad2;--s5:#e6c64c}}
@media print{:root{color-scheme:light;--paper:#fff;--card:#fff;--ink:#000;--soft:#444;--hair:#ccc;--mark:#f3f3f3;
--s0:#0064a4;--s1:#c4500a;--s2:#00805c;--s3:#95408a;--s4:#4d5560;--s5:#8a6a00}}
.s0{--c:var(--s0)}.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}.s4{--c:var(--s4)}.s5{--c:var(--s5)}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans","Liberation Sans","DejaVu Sans",sans-serif;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main{max-width:66rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.15;margin:0;letter-spacing:-.015em;font-weight:650}
h2{font-size:1.2rem;margin:3rem 0 .8rem;padding-top:.6rem;border-top:1px solid var(--hair);font-weight:650}
h3{font-size:.95rem;margin:0 0 .5rem;font-weight:600}
p{margin:.5rem 0;max-width:44rem}
.lead{color:var(--soft);margin-top:.4rem}.note{color:var(--soft);font-size:.86rem}
.warn{border-left:4px solid var(--s1);padding:.35rem .8rem;background:var(--mark)}
code{font:.88em ui-monospace,"SF Mono","Liberation Mono","DejaVu Sans Mono",monospace}
dl{margin:0}dd{margin:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(11.5rem,1fr));gap:1.1rem 1.6rem;margin:1.6rem 0 1rem}
.tiles div{display:flex;flex-direction:column-reverse;justify-content:flex-end}
.tiles dt{color:var(--soft);font-size:.84rem;line-height:1.35}
.tiles dd{font-size:1.34rem;font-weight:600;letter-spacing:-.01em;white-space:nowrap}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,25rem),1fr));gap:1.2rem}
figure{margin:0;background:var(--card);border:1px solid var(--hair);border-radius:6px;padding:.9rem 1rem .8rem;
break-inside:avoid;min-width:0}
figure svg{display:block;width:100%;height:auto}
figure img{display:block;max-width:100%;height:auto;image-rendering:pixelated;margin:0 auto}
figcaption{color:var(--soft);font-size:.84rem;line-height:1.4;margin-top:.5rem}
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans","DejaVu Sans",sans-serif;
fill:var(--ink)}
svg .tick,svg .unit{fill:var(--soft)}
svg .grid{stroke:var(--hair);stroke-width:1}svg .axis{stroke:var(--soft);stroke-width:1}
figure .wide{margin:0}figure .wide svg{min-width:30rem}
svg .mark{font-size:10px}svg .rule{stroke:var(--soft);stroke-width:1.2;stroke-dasharray:2 3}
svg .roof{stroke:var(--ink);stroke-width:1.8;fill:none}
.line{stroke:var(--c);stroke-width:2;fill:none;stroke-linejoin:round;stroke-linecap:round}
.band{fill:var(--c);fill-opacity:.2;stroke:none}
.full{fill:var(--c);stroke:var(--card);stroke-width:.6}.hollow{fill:var(--card);stroke:var(--c);stroke-width:1.5}
.wide{overflow-x:auto;margin:.6rem 0}
table{border-collapse:collapse;font-size:.88rem;min-width:100%}
caption{text-align:left;color:var(--soft);font-size:.86rem;padding:0 0 .4rem}
th,td{padding:.32rem .9rem .32rem 0;text-align:right;border-bottom:1px solid var(--hair);white-space:nowrap;
vertical-align:top}
th{font-weight:600}thead th{color:var(--soft);font-weight:500;vertical-align:bottom;white-space:normal;
overflow-wrap:normal}
.w{text-align:left;white-space:normal;overflow-wrap:break-word}tr.marked>*{background:var(--mark)}
.ledger{display:grid;grid-template-columns:minmax(9rem,15rem) 1fr;font-size:.92rem}
.ledger div{display:contents}
.ledger dt,.ledger dd{padding:.34rem .9rem .34rem 0;border-bottom:1px solid var(--hair)}
.ledger dt{color:var(--soft)}
details{margin:.9rem 0}summary{cursor:pointer;color:var(--soft);font-size:.92rem}
:focus-visible{outline:2px solid var(--s0);outline-offset:2px}
footer{margin-top:3rem;color:var(--soft);font-size:.84rem}
@media (max-width:34rem){main{padding:1.5rem .9rem 3rem}h1{font-size:1.5rem}figure{padding:.7rem .6rem}
.tiles{grid-template-columns:repeat(auto-fill,minmax(8.6rem,1fr));gap:.9rem 1rem}.tiles dd{font-size:1.08rem}
.ledger{display:block}.ledger div{display:block;border-bottom:1px solid var(--hair);padding:.35rem 0}
.ledger dt,.ledger dd{border:0;padding:0}}
@media print{main{max-width:none;padding:0}.grid{grid-template-columns:1fr 1fr}.wide{overflow:visible}
h2{break-after:avoid}body{font-size:10pt}table{font-size:8.5pt}@page{margin:16mm}}
)css";

}  // namespace felbo::report
