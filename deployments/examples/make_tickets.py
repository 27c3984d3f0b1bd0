"""Writes tickets.csv beside itself: invented requests to a help desk, with topics, priority, channel and hours open.

Nothing in it is real. The same seed gives the same bytes: `python deployments/examples/make_tickets.py`.
"""

import csv
import re
from pathlib import Path

import numpy as np

SEED = 42069
N_TICKETS = 450
NO_TOPIC, REPEATED, ESCAPED = 0.015, 0.02, 0.05  # shares of tickets with a flaw

# What people write of each topic: subjects on the first line, then sentences with [one|of|these] drawn.
TOPICS = {
    "billing": """Wrong invoice; Charged twice; Question about the bill
[The|Your|This month's] [invoice|bill|statement] for [the THING|my order] [is higher than] [the price we agreed on].
[My card|Our bank account|My wallet] was [charged|debited] [twice|three times|again] [WHEN|without notice].
[Please send|We still need|Can you issue] [the receipt|a corrected bill|an invoice] [with our tax number].
[The discount|My voucher|The student price] [is missing from|was not counted in] [the bill|the total].""",
    "refund": """Money back; Refund still open; Cancelled order
[I|We|My sister] [sent|brought] the THING back WHEN and [want|expect|ask for] [my money|the full amount|a refund].
[The refund|The money|The credit] [has not reached|never came to|is missing from] [my account|us|my card].
[Please cancel|I withdrew from] [the order|the purchase] and [pay back|return|transfer] [the amount|what I paid].""",
    "delivery": """Where is my parcel?; Late delivery; Parcel lost
[The parcel|My package|A box] with the THING was [promised for|announced for] WHEN and [has not come].
[The courier|Your driver|Somebody] left [the box|it|the shipment] [at the wrong address|in the rain] WHEN.
[Tracking|The link] [shows|has shown|repeats] the same [depot|warehouse|city] since [it was shipped|last Friday].""",
    "defect": """Broken on arrival; It stopped working; Strange noise
[The|My|Our new] THING [broke|gave up|stopped] WHEN [although nobody dropped it|after an hour|for no reason].
[The display|Its cover|One hinge] is [cracked|bent|loose] and [one button sticks|the cable is torn|a screw is gone].
[It|The motor|The fan inside] [makes a grinding noise|rattles] and [gets hot|shuts down] [after some minutes].""",
    "account": """Cannot sign in; Locked out; Change of address
The [password|code|reset] mail [never arrives|comes too late|holds a dead link].
[My|Our|This] [account|profile|login] [has been locked|was blocked] WHEN, after [I changed the address].
[Signing in|The login] with [the second factor|my phone] [fails|ends in an error|loops] [every time|since WHEN].""",
    "app": """App crashes; Update failed; Blank screen
The app [closes by itself|freezes|crashes] [as soon as|whenever|each time] I [open the settings|scan a code].
[Since the update] the [screen|start page|menu] [stays blank|flickers|is cut off] on [my tablet|an old phone].
[Notifications|Messages|Alerts] of the app [come hours late|are silent|show up twice].""",
    "privacy": """My data; Unwanted mail; Delete everything
[Please delete|Erase|I want you to remove] all [personal data|records|photos] [that you keep about me|of my family].
[I never agreed to|Who subscribed me to|Stop] the [newsletter|calls|advertising] [that came WHEN|from your partners].
[Who else|Which company|Which department] can see my [address|orders|birthday] and [my searches|my number]?""",
}
# What comes beside a topic more often than by chance.
BESIDE = {
    "billing": "refund", "refund": "delivery", "delivery": "defect", "defect": "refund", "account": "app",
    "app": "account", "privacy": "account",
}  # fmt: skip
SHARES = np.array([0.2, 0.12, 0.2, 0.16, 0.14, 0.12, 0.06])
WORDS = {
    "THING": ("kettle", "lamp", "headset", "bicycle pump", "desk fan", "alarm clock", "vacuum cleaner", "speaker"),
    "WHEN": ("yesterday", "on Monday", "last week", "two days ago", "this morning", "over the weekend", "in April"),
}
GREETINGS = ("Hello,", "Hi there,", "Good morning,", "Dear team,", "")
ENDINGS = ("Thank you.", "Please help soon.", "What can I do?", "I have written before.", "Regards", "")
COLUMNS = ("ticket", "subject", "body", "topics", "priority", "channel", "hours_open")


def make_tickets(n_tickets: int, seed: int) -> list[dict[str, str]]:
    """Return invented tickets by the names of their columns, some of them with a flaw."""
    random = np.random.default_rng(seed)
    tickets = [_make_ticket(number, random) for number in range(1, n_tickets + 1)]
    for ticket in tickets[1:]:
        flaw = random.random(3)
        if flaw[0] < NO_TOPIC:
            ticket["topics"] = ""
        if flaw[1] < REPEATED:
            ticket["body"] = tickets[0]["body"]
        elif flaw[2] < ESCAPED:
            ticket["body"] += "  Sent by phone &amp; tablet"
    return tickets


def _make_ticket(number: int, random: np.random.Generator) -> dict[str, str]:
    names = list(TOPICS)
    topics = [str(random.choice(names, p=SHARES))]
    if random.random() < 0.45:
        topics.append(BESIDE[topics[0]] if random.random() < 0.7 else str(random.choice(names)))
    topics = list(dict.fromkeys(topics))
    subjects, *_ = TOPICS[topics[0]].splitlines()
    sentences = [text for topic in topics for text in _draw_sentences(topic, 3 - len(topics), random)]
    if random.random() < 0.3:  # what people of another topic write, too
        sentences += _draw_sentences(str(random.choice(names)), 1, random)
    filled = [_fill(sentence, random) for sentence in sentences]
    is_urgent = bool({"account", "privacy"}.intersection(topics))
    return {
        "ticket": f"T{number:04}",
        "subject": str(random.choice(subjects.split("; "))),
        "body": " ".join(filter(None, [str(random.choice(GREETINGS)), *filled, str(random.choice(ENDINGS))])),
        "topics": "|".join(topics),
        "priority": str(random.choice(("low", "normal", "high"), p=(0.1, 0.3, 0.6) if is_urgent else (0.3, 0.6, 0.1))),
        "channel": str(random.choice(("chat", "mail"), p=(0.8, 0.2) if "app" in topics else (0.3, 0.7))),
        "hours_open": f"{random.gamma(2, 30 if 'delivery' in topics else 6):.1f}",
    }


def _draw_sentences(topic: str, count: int, random: np.random.Generator) -> list[str]:
    _, *sentences = TOPICS[topic].splitlines()
    return [str(sentence) for sentence in random.choice(sentences, count, replace=False)]


def _fill(sentence: str, random: np.random.Generator) -> str:
    drawn = re.sub(r"\[([^\]]+)\]", lambda choice: str(random.choice(choice[1].split("|"))), sentence)
    return re.sub("|".join(WORDS), lambda word: str(random.choice(WORDS[word[0]])), drawn)


if __name__ == "__main__":
    with Path(__file__).with_name("tickets.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(make_tickets(N_TICKETS, SEED))
