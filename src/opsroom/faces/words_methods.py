"""How each family of figures is made, in a paragraph or two each: the text of the method pages."""

from __future__ import annotations

METHODS: dict[str, str] = {
    "how.resumption": (
        "A company is at work on a day when its meters use clearly more than its own closed-day base load. "
        "What is normal is estimated for each company from its own history: temperature (heating and cooling), "
        "weekday, public holidays and the moving New Year holiday.\n"
        "The denominator is frozen: all companies that were active on the cohort day stay in it, closed and "
        "silent ones included; companies founded later are shown apart. The interval covers the threshold, the "
        "model of what is normal, and readings that are missing because a company closed. Sampling error is tiny; "
        "bias decides.\n"
        "It fails most where work does not show on a meter: remote services with dark offices, and cold stores "
        "that run while the company is closed."
    ),
    "how.nowcast": (
        "The target is the first release of quarterly GDP growth, on the quarter before, not annualised. The "
        "nowcast uses only what had been published by the day shown, in the vintage of that day, so its record "
        "can be scored as it was. The comparison is an autoregression on GDP alone.\n"
        "It fails most at turning points, where the first releases of the inputs are themselves revised."
    ),
    "how.loans": (
        "Performing, forborne and delinquent are separate states that add up to all outstanding loans. A loan "
        "under a payment holiday is forborne: it does not turn into a performing one, so arrears do not fall when a "
        "holiday starts. Ability to pay is told apart from collection: where collection staff and courts work at "
        "part capacity, arrears rise even when companies could pay.\n"
        "A warning compares a section with its own history, not with other sections."
    ),
    "how.liquidity": (
        "Cash and undrawn credit against fixed costs, interest, principal and taxes due at the sales observed. A "
        "company with less than 30 days of it is counted with its jobs. It says nothing about solvency."
    ),
    "how.relief": (
        "Each company's cash is followed over the horizon under common draws, with and without each option. "
        "Decisive: runs out of cash without the option and not with it. Windfall: survives either way. Futile: runs "
        "out either way. Cliff: carried by the option and runs out after it ends.\n"
        "Illiquid is not failed, and jobs at risk are not jobs lost. Cash deferred comes back, an outlay does not, "
        "an expected loss falls on somebody, a contingent liability may or may not fall due: they are shown beside "
        "each other and never added up."
    ),
    "how.decisions": (
        "A decision record names the option, who decided, on what legal basis, when it is reviewed, and what was "
        "forecast on that day. It cannot be changed. Later releases score it."
    ),
    "how.warnings": (
        "A warning is raised when a published figure crosses its threshold, and stands until the figure has gone back "
        "past a second one, so that what swings about one line does not ring every week. It is told once.\n"
        "Beside each rule stands what its warnings were followed by in this room, as known on the day shown: how many "
        "were right, how many false, how many events came without one. A rule without an event has no record.\n"
        "Few events prove little: the interval beside a record says what share of such events it may warn of. A rule "
        "may be judged by dated events elsewhere, such as the banking crises of many economies.\n"
        "Thresholds are the room's own settings, with an owner; a warning proves nothing, and no figure is a forecast "
        "of the event that it warns of."
    ),
    "how.scores": (
        "Each figure is compared with what became known later, as it was published on its day, and beside a naive "
        "benchmark that had the same information. A synthetic economy can also be scored against its truth; that is "
        "kept outside the room, so the comparison stands in a file beside the briefing."
    ),
    "how.data": (
        "Every delivery is checked on arrival. Rows that fail stay in quarantine with the reason; nothing is "
        "dropped silently. A revision is a new row, so the picture as of any earlier day can be shown again."
    ),
    "how.flows": (
        "Each flow against its own normal path (trend, season, the moving New Year), learnt before the shock; the "
        "gap is in per cent of that path and flows are never added up. Growth on earlier years compares the same "
        "lunar day and never stands alone.\n"
        "Depth is the deepest gap, duration the weeks outside the flow's ordinary range, half-life the weeks until "
        "half of the depth was made good. It fails most where a flow has reasons of its own."
    ),
    "how.events": (
        "The official registers, up to the day shown: a spell of lockdown lasts while any region is under one, and "
        "strictness is the mean over the regions of a complete week. What a register announces for later days is no "
        "event yet."
    ),
    "how.activity": (
        "The observed series against the level expected for its temperature and calendar, estimated on earlier "
        "years alone. The gap is in per cent of the expected level; its band is the spread of past gaps in quiet "
        "times, so it holds the error of the model, not only of its coefficients."
    ),
    "how.credit": (
        "Credit to the private non-financial sector over GDP, less a one-sided Hodrick-Prescott trend with a "
        "smoothing parameter of 400,000, and the buffer guide that follows from it (Basel Committee, 2010)."
    ),
    "how.allocation": (
        "Of an input-output table, what each section can do now (as published), and the weights, least shares and "
        "classes in the objectives register, each with owner and legal basis: the final uses that are worth most, and "
        "beside them what plain rules give. A shadow price is what one more unit would add under these weights, at the "
        "margin; it is no market price. An optimum is ahead of any rule on its own objective by construction: look at "
        "the other weights, too (docs/methods/allocation.md)."
    ),
    "how.propagation": (
        "Sections that hold stocks, order, hire, fire and ration their customers, day by day, after Pichler et al. "
        "(2022). What a section can do is what was measured of it; beyond the last figure, losses keep their "
        "proportion to restrictions. The band is that of drawn assumptions (who can do without what, stocks, losses, "
        "fear); it knows nothing of what the model leaves out. Losses are spread over regions by what was published of "
        "each and by restrictions there, with public weights; regions sell into one market, so that a section's output "
        "is divided by what each region can still make. A scenario file adds shocks of its own after the last "
        "measurement; by whose word stands in the release's facts. What one company's failure would cost is what "
        "would be lost if nobody found another supplier, as a mean of the section (docs/methods/propagation.md)."
    ),
    "how.credit_region": (
        "Credit over a year's output, and how that ratio changed over two years, divided between credit and output by "
        "Shapley values: a falling output is no credit boom. Each quarter by the figures of its day. Where regional "
        "output is an index, no level means anything, so changes are in per cent of the ratio before."
    ),
    "how.contagion": (
        "A what-if, not a forecast: companies with a loan 90 days past due, and those whose cash and undrawn credit do "
        "not cover a month's fixed costs and loan service and did half a year before, are taken to fail. A payment "
        "holiday takes loan service out of what must be paid, so that fewer are short while it lasts; loans that were "
        "in default before stay in it. Suppliers "
        "lose what these owe them and may fail, too; lenders lose what guarantees and collateral do not cover, "
        "withdraw credit, and pass losses on to each other (DebtRank). The range runs from mild to severe assumptions "
        "on recovery and terms of payment, and over networks between lenders that fit what each reports in all. No "
        "lender is named. Where sections are too small, groups of them may be told (docs/methods/contagion.md)."
    ),
    "how.delays": (
        "What is reported of each period, and what will be once all reports are in: each section's reports by delay, "
        "with what all sections have in common shared between them, and an interval by draws. A period counts as "
        "settled after as many periods as late reports have taken; before that its reported count is no level. What "
        "is expected is published where the count beside it can be, and is learnt from published counts alone "
        "(docs/methods/delays.md)."
    ),
    "how.restriction": (
        "The indices of the Oxford tracker (OxCGRT): each indicator's value over its maximum, half a step less where a "
        "measure is targeted; an index is the mean of its indicators, what is not known counted as nothing. Means of "
        "complete weeks; all places count alike. It counts rules on paper, neither compliance nor who is hit "
        "(docs/methods/restriction.md)."
    ),
    "how.exuberance": (
        "The ratio of a price to what should carry it, tested for explosive growth (BSADF) each quarter by the figures "
        "of its day. The doubt is the share of false alarms, over regions and a year of quarters, that one accepts "
        "who takes it for a boom. Dates rest on the figures known today. Explosive is neither mispriced nor about to "
        "crash."
    ),
    "how.invoices": (
        "Invoices between companies, by section of the seller. Late: not paid by the day on which they were due. The "
        "mean delay counts those not paid up to the day, which is the least that theirs will be. A link is a seller "
        "and a buyer with an invoice in the month; single: the buyer has no other seller in that section and month; "
        "new: there was no such link the month before. Companies of one group count as one. A figure is published "
        "where the rules hold for the sellers behind it and for the buyers (docs/methods/invoices.md)."
    ),
    "how.bottlenecks": (
        "New orders and unfilled orders over deliveries, of the companies that report all three. Orders placed twice "
        "in a shortage look like demand. Dependence on a provider counts the release series that read its data: they "
        "may change without it, which does not say that they would be lost."
    ),
    "how.prices": "Growth of the price series over the same period a year before.",
    "how.levels": "The series as its provider published it, in the vintage known on the day shown.",
    "how.other": "See the release's own method note.",
}
