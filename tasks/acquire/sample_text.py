"""What is wrong with the sample's descriptions and rows, as in the real set. Owns each kind of dirt and its rate.

Knows nothing of how cleaning treats it. A movie has at most one kind of description; rows may differ besides.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

# The little English grammar that the embedded sample needs: plurals, verb forms, articles, capitals.
#
# Owns the forms of a phrase; knows no vocabulary. Good for the words of the sample, not for any.


# Verbs whose last letter is doubled before -ing.
_DOUBLED = {
    *("cut", "fulfil", "get", "kidnap", "outrun", "outwit", "plan", "put", "repel", "reprogram", "rob", "run"),
    *("star", "stop", "travel", "unravel", "win"),
}
_IRREGULAR_PLURALS = {"child": "children", "wife": "wives"}
_TAKES_AN = re.compile(r"(?!uniform|unit|ouija)[aeiou]|heir|hon|FBI", re.IGNORECASE)
_SMALL_WORDS = {"a", "an", "and", "at", "for", "from", "in", "of", "on", "the", "to", "with"}


def plural(noun: str) -> str:
    """Return the plural of an English noun phrase.

    >>> plural("prisoner of war"), plural("best man"), plural("witch"), plural("spy"), plural("little boy")
    ('prisoners of war', 'best men', 'witches', 'spies', 'little boys')
    """
    head, of, rest = noun.partition(" of ")
    before, space, last = head.rpartition(" ")
    if last.endswith("y") and last[-2] not in "aeiou":
        last = last[:-1] + "ies"
    elif last.endswith("man") or last in _IRREGULAR_PLURALS:
        last = _IRREGULAR_PLURALS.get(last) or last[:-3] + "men"
    else:
        last += "es" if last.endswith(("s", "x", "z", "ch", "sh")) else "s"
    return before + space + last + of + rest


def third_person(phrase: str) -> str:
    """Return a verb phrase in the third person singular.

    >>> third_person("rob a bank"), third_person("marry for money"), third_person("search for love")
    ('robs a bank', 'marries for money', 'searches for love')
    """
    verb, space, rest = phrase.partition(" ")
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies" + space + rest
    return verb + ("es" if verb.endswith(("s", "x", "z", "ch", "sh", "go")) else "s") + space + rest


def gerund(phrase: str) -> str:
    """Return a verb phrase as a gerund.

    >>> gerund("rob a bank"), gerund("make a friend"), gerund("free the hostages"), gerund("see Paris")
    ('robbing a bank', 'making a friend', 'freeing the hostages', 'seeing Paris')
    """
    verb, space, rest = phrase.partition(" ")
    if verb in _DOUBLED:
        verb += verb[-1]
    elif verb.endswith("e") and not verb.endswith("ee"):
        verb = verb[:-1]
    return verb + "ing" + space + rest


def with_article(article: str, noun: str) -> str:
    """Return the article, `a ` or `A `, as a noun phrase wants it; what is heard decides, not the letter.

    >>> with_article("a ", "boat"), with_article("A ", "old boat"), with_article("a ", "honest man")
    ('a ', 'An ', 'an ')
    """
    return article.replace(" ", "n ") if _TAKES_AN.match(noun) else article


def capitalise_first(phrase: str) -> str:
    """Return a phrase as it begins a sentence.

    >>> capitalise_first("at the end")
    'At the end'
    """
    return phrase[0].upper() + phrase[1:]


def capitalise_all(phrase: str) -> str:
    """Return a phrase as it stands in a title.

    >>> capitalise_all("a letter from the FBI")
    'A Letter from the FBI'
    """
    first, *others = phrase.split()
    return " ".join(
        [capitalise_first(first), *(word if word in _SMALL_WORDS else capitalise_first(word) for word in others)]
    )


# The vocabulary of the embedded sample. Owns words, names and places, all invented or everyday; knows no grammar.
#
# Many words stand under several genres on purpose: a soldier may be in a war, a history or an action film, so that no
# single word settles a genre.


# Each line: a role and what can play it. A person and a thing are singular without article, a place follows "in",
# an aim is a verb phrase in its base form, an event is a noun phrase with its article, a mood is an adjective.
GENRE_WORDS: Final = {
    "Action": """
        person: commando, mercenary, bodyguard, hitman, soldier, stuntman, fighter, special agent, pilot, sniper,
            outlaw
        place: a besieged embassy, a burning oil rig, the back alleys of the port, a fortified compound, a speeding
            train
        thing: bomb, armoured truck, stolen helicopter, machine gun, briefcase, detonator, motorcycle, microchip,
            bullet
        aim: rescue the hostages, stop the assault, outrun the cartel, fight every assassin in the city, defuse a
            bomb, avenge a fallen partner, storm the fortress, smash a smuggling ring, escape an ambush, hunt a
            warlord
        event: a deadly ambush, a botched raid, an explosive chase, a prison break, a hijacking, the final showdown
        mood: explosive, relentless, ruthless, hard-hitting, deadly, fearless, elite, bulletproof,
            adrenaline-fuelled
    """,
    "Adventure": """
        person: explorer, sailor, treasure hunter, guide, captain, pirate, castaway, mountaineer, pilot,
            archaeologist
        place: the uncharted jungle, a lost island, the frozen north, the open sea, a hidden valley, an ancient
            temple
        thing: map, compass, ship, lost idol, raft, legendary treasure, expedition journal, hot-air balloon, caravan
        aim: find a lost city, cross the desert, survive in the wilderness, sail around the world, climb a sacred
            peak, follow an old map, discover a hidden kingdom, reach the summit, search for buried treasure, tame a
            river
        event: a shipwreck, a perilous journey, a great expedition, a storm at sea, a long voyage, an avalanche
        mood: daring, perilous, intrepid, remote, uncharted, breathtaking, swashbuckling, wild, epic, legendary
    """,
    "Animation": """
        person: talking rabbit, young dragon, robot dog, little penguin, puppet, toy soldier, squirrel, fairy, cub,
            mouse
        place: the enchanted forest, a candy-coloured city, the toy shop, a village of hedgehogs, the land of clouds
        thing: magic acorn, cartoon, paper boat, lantern, rainbow, golden feather, jar of fireflies, crayon, music
            box
        aim: bring a drawing to life, save the forest, befriend a monster, learn to fly, find the way home, rescue
            the toys, collect every star, outsmart a grumpy fox, paint the moon, win back the stolen rainbow
        event: the great animal race, a magical mix-up, the festival of lanterns, a flood in the burrow, the first
            snow
        mood: animated, colourful, cuddly, tiny, mischievous, whimsical, hand-drawn, magical, plucky, cheerful
    """,
    "Biography": """
        person: painter, physicist, president, novelist, composer, activist, inventor, boxer, singer, queen, surgeon
        place: the royal academy, a famous concert hall, the laboratory, the senate, the studio of an old master
        thing: memoir, invention, portrait, masterpiece, manuscript, diary, legacy, Nobel prize, biography, archive
        aim: rise to fame, change the course of science, write a masterpiece, lead a movement, found an empire, tell
            the true story of a life, overcome poverty, inspire a generation, break every record, battle addiction
        event: a long career, the early years, a meteoric rise, a scandalous trial, the Nobel ceremony, an exile
        mood: famous, real-life, true, visionary, celebrated, controversial, influential, intimate, legendary,
            pioneering
    """,
    "Comedy": """
        person: slacker, clumsy waiter, best man, nosy neighbour, comedian, salesman, roommate, office clerk,
            bridesmaid
        place: a chaotic wedding, a run-down motel, the office, the suburbs, a nudist camp, a failing restaurant
        thing: wig, parrot, fake passport, wedding cake, lottery ticket, borrowed limousine, prank, karaoke machine
        aim: impress the in-laws, fake a marriage, crash a wedding, hide a parrot from the landlord, win a cooking
            show, save the failing restaurant, pretend to be rich, survive a family holiday, get even with the boss
        event: a disastrous wedding, a case of mistaken identity, a wild party, a school reunion, a road trip, a
            prank
        mood: hilarious, awkward, hapless, zany, clueless, goofy, lazy, outrageous, quirky, funny, bumbling
    """,
    "Crime": """
        person: detective, gangster, robber, mob boss, drug dealer, police officer, con artist, informant, hitman,
            burglar
        place: the underworld, a maximum-security prison, the docks, a casino, the police precinct, a crooked bank
        thing: stolen diamond, suitcase of cash, gun, safe, wiretap, getaway car, ransom note, alibi, counterfeit
            bill
        aim: rob a bank, solve a string of murders, launder money, bring down the cartel, pull off one last heist,
            frame an innocent clerk, infiltrate the mafia, kidnap an heiress, catch a serial killer, testify in
            court
        event: a brutal murder, a robbery gone wrong, a gang war, a kidnapping, the perfect heist, a drug deal
        mood: corrupt, criminal, violent, crooked, streetwise, ruthless, gritty, notorious, wanted, merciless
    """,
    "Drama": """
        person: widow, single mother, teacher, doctor, student, farmer, teenager, nurse, immigrant, lawyer, retired
            worker
        place: a small town, a working-class suburb, a mountain village, the city, a nursing home, a broken
            household
        thing: letter, family secret, old photograph, house, promise, inheritance, illness, debt, wound, apartment
        aim: cope with grief, face the past, raise a child alone, mend a broken family, start a new life, care for a
            dying parent, forgive an old betrayal, struggle with addiction, find hope, keep the farm
        event: a death in the family, a divorce, a tragic accident, an unexpected pregnancy, a long silence, a loss
        mood: troubled, lonely, grieving, estranged, emotional, fragile, quiet, struggling, painful, tender, moving
    """,
    "Family": """
        person: schoolgirl, puppy, grandfather, orphan, babysitter, boy, kindly janitor, pony, little sister, scout
        place: a summer camp, the farm, grandmother's house, an animal shelter, the school, a tree house, the zoo
        thing: lost puppy, treehouse, birthday present, snow globe, kite, Christmas tree, magic wand, pet hamster
        aim: save Christmas, find a lost puppy, win the school fair, befriend a wild pony, help the neighbours,
            learn to share, reunite the family, build a treehouse, rescue the zoo, make a new friend
        event: the Christmas pageant, summer vacation, a snow day, a birthday party, the school play, a new arrival
        mood: heartwarming, playful, kind, lovable, adorable, brave, gentle, cheerful, curious, mischievous
    """,
    "Fantasy": """
        person: wizard, young dragon, elf, sorceress, knight, fairy, demon, princess, goblin, prophet, mermaid,
            witch
        place: an enchanted kingdom, the realm of shadows, a parallel world, the dark tower, the enchanted forest
        thing: magic sword, spell, crystal, amulet, cursed ring, prophecy, portal, ancient scroll, magic wand,
            throne
        aim: break the curse, defeat the dark lord, slay a dragon, open the portal, fulfil the prophecy, master
            magic, protect the enchanted realm, summon a spirit, reclaim the throne, bargain with a demon
        event: an ancient curse, the return of the dark lord, a magical battle, the last eclipse, a broken spell
        mood: enchanted, magical, mythical, cursed, immortal, otherworldly, ancient, legendary, bewitched, winged
    """,
    "Film-Noir": """
        person: private eye, nightclub singer, femme fatale, drifter, insurance man, gambler, ex-convict, racketeer
        place: a smoky nightclub, the rain-soaked waterfront, a cheap hotel, the shadows of the city, a boxing arena
        thing: revolver, cigarette case, insurance policy, blackmail photo, trench coat, alibi, pawn ticket,
            telegram
        aim: clear a blackened name, double-cross a partner, trail a faithless wife, blackmail a politician, hide a
            murder, get away with the insurance money, shake off the racketeers, leave the rackets
        event: a double cross, a murder on the waterfront, a fatal attraction, a frame-up, a jewel robbery, amnesia
        mood: hard-boiled, cynical, doomed, crooked, shadowy, fatalistic, double-crossing, desperate, smoky, sultry
    """,
    "History": """
        person: emperor, general, monk, samurai, revolutionary, historian, rebel leader, king, queen, ambassador,
            peasant
        place: the Roman province, the imperial court, a medieval city, the colony, ancient Egypt, a besieged castle
        thing: treaty, crown, empire, archive, monument, throne, manuscript, chronicle, fortress, constitution, ruin
        aim: overthrow the monarchy, unite the kingdom, sign the treaty, abolish slavery, defend the fortress,
            document the revolution, conquer an empire, reform the church, negotiate peace, lead an uprising
        event: the revolution, the fall of the empire, a peasant uprising, the coronation, the civil war, an exile
        mood: historical, imperial, royal, ancient, colonial, feudal, medieval, forgotten, revolutionary, true
    """,
    "Horror": """
        person: vampire, zombie, serial killer, babysitter, demon, exorcist, ghost, witch, teenager, caretaker,
            slasher
        place: an abandoned asylum, the haunted house, a remote cabin, the cemetery, the dark basement, the woods
        thing: cursed doll, chainsaw, ritual, coffin, occult book, mirror, ouija board, mask, corpse, haunted
            painting
        aim: survive the night, summon a demon, escape the killer, banish an evil spirit, feed on the living, open
            the coffin, exorcise a child, haunt the household, bury a corpse, wake the dead
        event: a satanic ritual, a gruesome murder, an ancient curse, a zombie outbreak, a possession, the massacre
        mood: terrifying, haunted, bloodthirsty, gruesome, evil, sinister, undead, demonic, creepy, possessed,
            masked
    """,
    "Music": """
        person: guitarist, singer, rapper, drummer, conductor, pianist, producer, band manager, violinist, disc
            jockey
        place: a recording studio, the jazz club, a music festival, the opera house, a basement rehearsal room
        thing: guitar, album, song, demo tape, piano, microphone, violin, tour bus, record deal, melody, concert
            film
        aim: form a band, record an album, play the biggest concert, write one perfect song, tour the country, win a
            singing contest, get a record deal, revive a forgotten melody, learn the violin
        event: a farewell concert, the world tour, a rap battle, the first rehearsal, the band's breakup, a festival
        mood: musical, talented, legendary, melodic, rebellious, unplugged, acoustic, famous, rhythmic, electric
    """,
    "Musical": """
        person: chorus girl, dancer, showman, songwriter, singer, choreographer, matinee idol, tap dancer,
            understudy
        place: a Broadway theatre, the stage, a vaudeville house, a grand ballroom, a cabaret, the opera house
        thing: song, dance number, spotlight, costume, ballet shoe, musical revue, curtain call, orchestra, melody
        aim: put on a show, dance on Broadway, sing for the king, save the theatre, star in a revue, stage a
            musical, choreograph a ballet, win the leading role, sing through the night
        event: opening night, a grand revue, the dance contest, the final rehearsal, a backstage romance, an
            audition
        mood: dazzling, singing, dancing, glittering, theatrical, cheerful, lavish, romantic, star-struck, musical
    """,
    "Mystery": """
        person: detective, inspector, amateur sleuth, missing heiress, stranger, journalist, witness, psychic,
            butler
        place: a country manor, a fog-bound village, the locked room, an isolated hotel, the library, a remote
            island
        thing: clue, diary, missing painting, anonymous letter, poison, secret passage, cipher, old photograph, key
        aim: solve a murder, unravel the mystery, find a missing girl, uncover a family secret, follow the clues,
            decode a message, question every guest, trace a vanished friend, identify a body
        event: a strange disappearance, an unsolved murder, the reading of the will, a disputed suicide, a blackout
        mood: mysterious, missing, enigmatic, unsolved, cryptic, secretive, puzzling, strange, eerie, suspicious
    """,
    "Romance": """
        person: bachelor, bride, florist, widow, young lover, heiress, photographer, wedding planner, duke, baker,
            poet
        place: Paris, a seaside resort, a vineyard in the south, a little bookshop, a chaotic wedding, the
            countryside
        thing: love letter, engagement ring, bouquet, kiss, wedding dress, valentine, secret affair, dance, promise
        aim: fall in love, win back an old flame, marry for money, choose between two lovers, plan a wedding,
            confess a secret love, find a soulmate, run away together, break off the engagement, rekindle an old
            romance
        event: a whirlwind romance, a summer fling, an arranged marriage, a chance meeting, a wedding, a love affair
        mood: romantic, passionate, lovesick, handsome, charming, tender, star-crossed, heartbroken, jilted, dreamy
    """,
    "Sci-Fi": """
        person: astronaut, android, alien, scientist, time traveller, cyborg, clone, space pilot, hacker, starship
            captain
        place: a space station, a distant planet, a dystopian city, the secret laboratory, the year 2190, deep space
        thing: spaceship, time machine, virus, robot, experiment, microchip, artificial intelligence, wormhole,
            signal
        aim: colonise a planet, repel the alien invasion, travel through time, reprogram an android, save the last
            humans, contact an alien race, escape the simulation, stop a rogue computer, clone a human
        event: an alien invasion, a failed experiment, a nuclear war, first contact, a meteor strike, the outbreak
        mood: futuristic, alien, robotic, dystopian, cybernetic, interstellar, post-apocalyptic, genetic, artificial
    """,
    "Sport": """
        person: boxer, coach, quarterback, goalkeeper, jockey, racing driver, wrestler, sprinter, skater, team
            captain
        place: the stadium, the boxing ring, a run-down gym, the racetrack, the locker room, the Olympic village
        thing: trophy, championship belt, football, medal, racket, racehorse, skateboard, winning streak, surfboard
        aim: win the championship, train for the Olympics, coach a losing team, break the world record, return to
            the ring, qualify for the final, score the winning goal, make the team, beat an old rival
        event: the championship final, a career-ending injury, the Olympic Games, the big match, a losing season
        mood: athletic, unbeaten, competitive, determined, washed-up, professional, tough, champion, sporting, rival
    """,
    "Thriller": """
        person: assassin, journalist, FBI agent, stalker, hostage, hacker, spy, psychiatrist, fugitive, kidnapper,
            witness
        place: an isolated house, the embassy, a hijacked plane, a snowbound motel, the surveillance room, the
            border
        thing: ransom, hard drive, hidden camera, tape, gun, passport, poison, encrypted file, bomb, secret identity
        aim: expose a conspiracy, escape a stalker, unmask a killer, trust a stranger, find the kidnapped child,
            outwit a blackmailer, survive the night, leak a secret file, clear a blackened name
        event: a kidnapping, a political conspiracy, a home invasion, an assassination, a deadly game, a blackout
        mood: paranoid, deadly, suspenseful, dangerous, obsessive, hunted, sinister, cold-blooded, secretive,
            psychotic
    """,
    "War": """
        person: soldier, general, partisan, nurse, fighter pilot, prisoner of war, sniper, refugee, deserter, war
            reporter
        place: the trenches, the occupied city, the eastern front, a prison camp, a field hospital, the battlefield
        thing: rifle, tank, bomber, grenade, medal, submarine, trench, minefield, coded message, uniform, ration
            card
        aim: hold the bridge, survive the siege, hide refugees, blow up a railway, join the resistance, desert the
            army, escape from the prison camp, liberate a village, fight behind enemy lines
        event: the invasion, a bloody battle, the siege, the bombing of the city, the liberation, the retreat
        mood: wounded, war-torn, occupied, military, heroic, battle-weary, captured, enlisted, bloody, shell-shocked
    """,
    "Western": """
        person: gunslinger, sheriff, cowboy, outlaw, rancher, bounty hunter, saloon singer, stagecoach driver,
            marshal
        place: a frontier town, the saloon, the prairie, the Arizona desert, a cattle ranch, a gold-mining camp
        thing: six-shooter, stagecoach, saddle, herd of cattle, wanted poster, gold claim, badge, noose, wagon train
        aim: drive the cattle north, clean up the town, avenge a murdered brother, rob the stagecoach, defend the
            ranch, hang an outlaw, face the fastest gun, stake a gold claim
        event: a shoot-out, a range war, the gold rush, a stagecoach robbery, a lynching, a cattle drive
        mood: gunslinging, lawless, rugged, dusty, fast-drawing, frontier, wild, grizzled, vengeful, lone
    """,
}

# What any film may hold: these words say little of its genre.
NEUTRAL_WORDS: Final = """
    person: young woman, man, stranger, friend, father, mother, couple, brother, sister, neighbour, girl, boy, son,
        daughter, newcomer, local, visitor, driver, worker, artist, writer, businessman, traveller, cook, old woman,
        guest, cousin, boss, tourist, librarian, carpenter, engineer, landlord, photographer
    place: the city, a quiet village, a strange place, the north of the country, the neighbourhood, a large house,
        the countryside, the old quarter, a foreign land, another country, the harbour, the mountains, the capital,
        a distant province, the valley, the suburbs, an old hotel, the outskirts, a crowded market, a coastal town
    thing: secret, letter, story, plan, car, book, house, bag, phone, dream, picture, door, name, box, film,
        telephone, watch, chair, newspaper, computer, coat, bicycle, ticket, garden, boat, table, painting,
        notebook, key, suitcase
    aim: find the truth, go home, make a decision, meet an old friend, change everything, start again, leave town,
        take a chance, look for answers, keep a secret, come to terms with the past, earn some money, return home,
        help a friend, accept an offer, make a journey, spend a summer together, discover the truth, fulfil a dream,
        wait
    event: a strange encounter, a long night, one fateful day, a chance meeting, an accident, the arrival of a
        stranger, a phone call, the summer, a difficult choice, a sudden change, the trip, an old quarrel, a
        discovery, the winter, an unexpected visit, a misunderstanding, the last day of school, a mistake, a party,
        the move to the city
    mood: weary, restless, strange, new, ordinary, unusual, different, beautiful, mysterious, famous, simple,
        unexpected, hidden, forgotten, local, rich, poor, ambitious, stubborn, shy, proud, clever, quiet, careless,
        honest, idle
"""

GENERAL_WORDS: Final = {
    "relation": "brother, sister, father, mother, best friend, wife, husband, daughter, son, uncle, grandmother",
    "time": "one summer, in the 1970s, before dawn, years later, overnight, at last, in secret, once again, by chance, "
    "in the winter of that year, within a week, for the first time, against all odds, without warning, on a Sunday",
    "feeling": "hope, fear, love, revenge, friendship, courage, betrayal, loyalty, ambition, freedom, guilt, faith",
    "number": "two, three, four, five, six, seven, a dozen",
}

FIRST_NAMES: Final = (
    "Ada, Adele, Agnes, Aisha, Alan, Albert, Alma, Amir, Ana, Anders, Anneliese, Anton, Arjun, Arthur, Astrid, "
    "Aylin, Beatriz, Benoît, Bernard, Björn, Bruno, Camille, Carla, Carmen, Cecília, Chloé, Clara, Conrad, Daisuke, "
    "Daniela, Deepa, Desmond, Dmitri, Dolores, Edith, Eduardo, Élise, Emil, Emma, Enzo, Erik, Esra, Ethan, Eva, "
    "Farah, Felix, Fiona, Françoise, Frida, Gabriel, Georgia, Gerd, Gloria, Goran, Greta, Hana, Harriet, Hassan, "
    "Helga, Henry, Hugo, Ibrahim, Ida, Ines, Ingrid, Irene, Isla, Ivan, Jakob, Jasmine, Jens, Jiro, Joan, João, "
    "Jonas, José, Judith, Kavya, Keiko, Kenneth, Klara, Kofi, Lars, Laila, Leonard, Lígia, Lin, Lotte, Louis, "
    "Lucía, Luka, Magda, Malik, Manuel, Margot, Mariam, Marko, Martha, Mateo, Mei, Mikael, Mina, Moira, Nadia, "
    "Neil, Nia, Nikhil, Nora, Odile, Oleg, Olga, Oscar, Paloma, Pavel, Pedro, Petra, Philippa, Priya, Quentin, "
    "Rafael, Ramona, Ravi, Renée, Rosa, Ruben, Ruth, Sabine, Salma, Samuel, Sanjay, Sara, Sergei, Silvia, Simon, "
    "Søren, Stella, Sven, Tamar, Tariq, Tessa, Thelma, Tomás, Ulrike, Valentina, Vera, Victor, Vikram, Wanda, "
    "Werner, Wilma, Xavier, Yara, Yusuf, Zoë, Zoran"
)

LAST_NAMES: Final = (
    "Abara, Acosta, Adler, Aguilar, Andersen, Arslan, Baptiste, Barros, Bauer, Bergström, Bianchi, Brandt, Cardoso, "
    "Castellanos, Chaudhry, Chen, Costa, Dahl, Delacroix, Demir, Desai, Dubois, Ekström, Engel, Fabre, Farkas, "
    "Ferrara, Fischer, Fontaine, Gallo, García, Grant, Gupta, Haddad, Hansen, Hayashi, Hernández, Horváth, Ibáñez, "
    "Ivanova, Jansen, Jensen, Kapoor, Kaya, Keller, Khan, Kimura, Kowalski, Krüger, Kumar, Lambert, Larsen, "
    "Lefèvre, Lindqvist, Lopes, Machado, Marchetti, Mbeki, Meier, Mendoza, Moreau, Müller, Nakamura, Navarro, "
    "Nguyen, Novák, Núñez, Okafor, Oliveira, Olsen, Ortega, Østergaard, Park, Pereira, Petrov, Popescu, Quiroga, "
    "Rahman, Rao, Reyes, Richter, Romano, Rossi, Ruiz, Saito, Santos, Schäfer, Schmidt, Sharma, Silva, Singh, "
    "Sørensen, Suzuki, Takeda, Torres, Varga, Vasquez, Virtanen, Vogel, Weiss, Wójcik, Yamada, Yilmaz, Zhang, "
    "Zimmermann"
)

# Any beginning with any ending gives a place or an English surname.
NAME_BEGINNINGS: Final = (
    "Ash, Beck, Birch, Black, Brad, Bram, Bright, Brook, Cald, Carl, Clay, Cold, Cran, Dun, East, Elm, Fair, Fen, "
    "Glen, Gold, Green, Hart, Hazel, High, Holl, Kings, Lang, Lock, Long, Mill, Moor, North, Oak, Red, Rock, Rose, "
    "Silver, Stan, Stone, Thorn, Wake, West, White, Wind, Wood"
)
NAME_ENDINGS: Final = "field, ford, ham, ley, wood, ton, brook, bury, worth, well, dale, stead, croft, more, shaw, gate"


# Titles and plots of the embedded sample: sentences whose words point at genres, with noise. Owns the grammar.
#
# Knows no dirt and no other field. Each word of a plot is of one of the movie's own genres, of some other genre, or of
# none; how often is drawn for each movie, so that some plots say clearly what they are and others hardly at all.


Uniform = Callable[[], float]  # the next number in [0, 1) of the sample's one random stream

# The probability that a word is of the movie's own genres, for the least and the most telling plot.
LEAST_OWN, MOST_OWN = 0.55, 0.95
OTHER_GENRE: Final = 0.04  # that it is of any genre, whatever the movie's
OWN_IN_TITLE: Final = 0.75
COMMON_FIRST: Final = 1.6  # exponent above 1: words at the head of a list come up more often than those at its end

# A slot is a role of the vocabulary in braces. Capitals in a slot are capitals in the text, `a` becomes `an` by itself.
OPENINGS: Final = (
    "A {mood} {person} must {aim} when {event} shakes {town}.",
    "{first} {last}, a {mood} {person} from {town}, sets out to {aim}.",
    "In {place}, {number} {people} find a {thing} and decide to {aim}.",
    "After {event}, a {person} has to {aim} with the help of a {mood} {person}.",
    "The story of {first} {last}, a {person} who {aims} and ends up in {place}.",
    "When a {thing} turns up in {place}, {first} and {first} are drawn into {event}.",
    "{first} is a {mood} {person} whose life changes after {event}.",
    "A {person} and a {person} team up to {aim} in {place}.",
    "{Time}, a {mood} {person} arrives in {town} and {aims}.",
    "{first} {last} wants nothing more than to {aim}, but {event} stands in the way.",
    "Set in {place}, this {mood} tale follows {number} {people} who must {aim}.",
    "The {mood} life of a {person} is turned upside down by a {thing}.",
    "{Number} {people} {aim} in {town} while {event} draws near.",
    "A {person}'s {relation} goes missing in {place} after {event}.",
    "Following {event}, {first} returns to {town} to {aim}.",
    "Nobody in {town} believes {first}, a {person} who claims to have seen a {mood} {thing}.",
    "A {mood} look at {people} and {people} in {place}.",
    "{first} {last} is hired by a {mood} {person} to {aim}.",
    "Haunted by {event}, a {person} tries to {aim} and hides in {place}.",
    "A {thing}, a {thing} and a {mood} {person} bring {first} to {place}.",
)
FOLLOW_UPS: Final = (
    "Together they {aim}, but {event} changes everything.",
    "Soon {first} discovers a {thing} in {place}.",
    "With only a {thing} to rely on, {first} must learn to {aim}.",
    "But {aiming} is not easy when {people} are everywhere.",
    "Meanwhile a {mood} {person} {aims}.",
    "Only a {mood} {thing} can help them {aim}.",
    "{Time}, {event} forces the {person} to {aim}.",
    "What begins as {event} ends in {place}.",
    "{first}'s {relation}, a {person}, would rather {aim}.",
    "As {event} approaches, {people} and {people} gather in {place}.",
    "Can {first} {aim} before the {thing} is lost?",
    "The {things} are gone, and so is the {person}.",
    "A {mood} story of {feeling} and {feeling}.",
    "In the end {first} has to choose between {feeling} and {feeling}.",
    "Nothing in {town} will ever be the same again.",
    "Everyone has a secret, even {first}'s {relation}.",
    "Their days of {aiming} are over after {event}.",
    "It all leads to {event} in {place}.",
)
# Credits say nothing about the genre; cleaning may want to prune them.
CREDITS: Final = (
    "Directed by {first} {last}, starring {first} {last} and {first} {last}.",
    "Based on the novel by {first} {last}.",
    "Produced by {first} {last} and filmed in {town}.",
)
CREDITS_SHARE: Final = 0.03
TITLES: Final = (
    "The {Mood} {Person}", "{Town}", "A {Thing} for {first}", "{first} and the {Thing}", "The {Person} of {Town}",
    "{Thing}", "The {Thing}", "{Mood} {Thing}", "{first}", "The Last {Person}", "{Things} and {Things}",
    "My {Relation} the {Person}", "Return to {Town}", "{Mood} {Things}", "The {Things} of {Town}", "{Aiming}",
    "No More {Things}", "{People} Don't Cry", "{Event}", "The {Person}'s {Thing}", "{Feeling} and {Feeling}",
    "{Place}", "{Number} {People}", "How to {Aim}",
)  # fmt: skip

_SLOT = re.compile(r"(\b[Aa] )?\{(\w+)\}")

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a sentence, after its literal text: words of no genre, and those of each genre where there are any."""

    before: str
    neutral: Words
    of_genre: dict[str, Words]


Template = tuple[Slot, ...]


class PlotWriter:
    """Writes titles and plots. All randomness comes from the stream that it is given."""

    def __init__(self, uniform: Uniform) -> None:
        self._uniform = uniform
        self._genres = tuple(GENRE_WORDS)
        towns = tuple(start + end for start in split_words(NAME_BEGINNINGS) for end in split_words(NAME_ENDINGS))
        last_names = split_words(LAST_NAMES)
        self._neutral = {role: split_words(text) for role, text in GENERAL_WORDS.items()} | _roles(NEUTRAL_WORDS)
        self._neutral |= {"first": split_words(FIRST_NAMES), "town": towns, "last": last_names * 24 + towns}
        self._of_genre = {genre: _roles(text) for genre, text in GENRE_WORDS.items()}
        self._openings, self._follow_ups, self._credits, self._names = (
            tuple(self._compile(template, capitalise_first) for template in group)
            for group in (OPENINGS, FOLLOW_UPS, CREDITS, ("{first} {last}",))
        )
        self._titles = tuple(self._compile(template, capitalise_all) for template in TITLES)

    def plot(self, genres: Sequence[str], n_sentences: int) -> list[str]:
        """Return the sentences of a plot for a movie of these genres; now and then one more with credits."""
        own = LEAST_OWN + (MOST_OWN - LEAST_OWN) * self._uniform()
        sentences = [self._fill(self._openings, genres, own)]
        sentences += [self._fill(self._follow_ups, genres, own) for _ in range(n_sentences - 1)]
        if self._uniform() < CREDITS_SHARE:
            sentences.append(self._fill(self._credits, genres, own))
        return sentences

    def title(self, genres: Sequence[str]) -> str:
        """Return a title, less telling than a plot."""
        return self._fill(self._titles, genres, OWN_IN_TITLE)

    def name(self) -> str:
        """Return the full name of somebody."""
        return self._fill(self._names, (), 0.0)

    def _fill(self, templates: tuple[Template, ...], genres: Sequence[str], own: float) -> str:
        uniform = self._uniform
        parts = []
        for slot in templates[int(uniform() * len(templates))]:
            parts.append(slot.before)
            words = slot.neutral
            if slot.of_genre:
                chance = uniform()
                if chance < own:
                    words = slot.of_genre[genres[int(uniform() * len(genres))]]
                elif chance < own + OTHER_GENRE:
                    words = slot.of_genre[self._genres[int(uniform() * len(self._genres))]]
                parts.append(words[int(uniform() ** COMMON_FIRST * len(words))])
            elif words:
                parts.append(words[int(uniform() * len(words))])
        return "".join(parts)

    def _compile(self, template: str, capitalise: Callable[[str], str]) -> Template:
        """Return a template as slots whose words have article and capitals already; the last slot has no words."""
        slots = []
        end = 0
        for match in _SLOT.finditer(template):
            article, role = match[1] or "", match[2].lower()
            case = str if match[2] == role else capitalise
            neutral = _dress(self._neutral[role], article, case)
            of_genre = {g: _dress(roles[role], article, case) for g, roles in self._of_genre.items() if role in roles}
            slots.append(Slot(template[end : match.start()], neutral, of_genre))
            end = match.end()
        return (*slots, Slot(template[end:], (), {}))


def split_words(text: str) -> Words:
    """Return the phrases of a comma-separated list."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(","))


def _roles(text: str) -> dict[str, Words]:
    """Return the phrases of each role in a block of `role: phrase, phrase`, and their inflected forms as roles."""
    fields = re.split(r"\b(person|place|thing|aim|event|mood): ", text)
    roles = {role: split_words(phrases) for role, phrases in zip(fields[1::2], fields[2::2], strict=True)}
    return roles | {
        "people": tuple(map(plural, roles["person"])),
        "things": tuple(map(plural, roles["thing"])),
        "aims": tuple(map(third_person, roles["aim"])),
        "aiming": tuple(map(gerund, roles["aim"])),
    }


def _dress(words: Words, article: str, case: Callable[[str], str]) -> Words:
    return tuple((with_article(article, word) if article else "") + case(word) for word in words)


# ruff: noqa: RUF001  (letters that look like Latin ones are what the other scripts below are for)


# The share of movies whose description is of the kind; all others are plain.
DESCRIPTION_KINDS: Final = {
    "add_a_plot": 0.14,
    "placeholder": 0.015,
    "see_full_summary": 0.16,
    "author_signature": 0.03,
    "em_dash_inside": 0.01,
    "html_entity": 0.006,
    "other_language": 0.012,
    "other_script": 0.005,
    "nothing_usable": 0.003,
    "empty_description": 0.002,
    "repeated_description": 0.01,
}
# The share of all movies.
EXCLUDED_GENRE: Final = 0.012
EMPTY_NAME: Final = 0.001
EMPTY_GENRE: Final = 0.001
# The share of the movies that are in several files: one of their rows differs from the others.
OTHER_GENRES: Final = 0.04
OTHER_DESCRIPTION: Final = 0.05
OTHER_NAME: Final = 0.006

ADD_A_PLOT: Final = "Add a Plot"
PLACEHOLDERS: Final = (
    "Plot under wraps.",
    "The story is being kept under wraps.",
    "Plot unknown.",
    "The plot is currently unknown.",
    "Plot undisclosed.",
    "The plot of {name}'s next film remains undisclosed.",
    "In development.",
    "A feature film by {name}, in development.",
    "No plot.",
    "No plot available for this title.",
    "Plot TBA.",
    "TBA",
    "Coming soon.",
    "Coming soon from director {name}.",
    "Not available.",
    "Plot details not available.",
    "Not disclosed.",
    "Story outline not disclosed by {name}.",
    "Synopsis unavailable.",
    "Plot unavailable at this time.",
    "Add a plot summary here.",
)
NOTHING_USABLE: Final = ("...", "-", "?", "N/A", "*", "??? ?? ????", "1", ".", "(none)", "#")
# A space, dots or not, sixteen spaces; the last space is a no-break space.
TAILS: Final = (" ...                See full summary\u00a0»",) * 9 + ("...                See full synopsis\u00a0»",)
CUT_AT: Final = 188  # characters that a listing shows before its tail
SIGNATURES: Final = ("\n—{name}", "\n—Anonymous", " —{name}", "—{name}", "\n— {name}", "\n—{name} <reader@example.org>")
LANGUAGES: Final = (
    "Un hombre llamado {name} vuelve a su pueblo en {year} y descubre que nada es como antes.",
    "La historia de {name}, una mujer que lucha por su familia después de la guerra de {year}.",
    "En {year}, {name} quitte la ville et part à la recherche de son frère disparu.",
    "Une comédie où {name} tombe amoureux de la mauvaise personne, l'été de {year}.",
    "{name} kehrt {year} in das Haus der Großmutter zurück und findet einen alten Brief.",
    "Im Jahr {year} muss {name} zwischen Liebe und Pflicht wählen.",
    "{name} é um jovem pescador que, em {year}, sonha em atravessar o oceano.",
    "Nel {year} {name} arriva in città per cercare lavoro e trova l'amore.",
    "{year} yılında {name}, babasının sırrını öğrenmek için köyüne döner.",
    "W roku {year} {name} wraca do domu, żeby odnaleźć zaginioną siostrę.",
)
SCRIPTS: Final = (
    "В {year} году {name} возвращается домой и узнаёт тайну своей семьи.",
    "История любви и предательства в маленьком городе: {name}, {year}.",
    "Το {year}, {name} φτάνει σε ένα μικρό νησί και ερωτεύεται.",
    "{year}年、{name}は失われた記憶を求めて旅に出る。",
    "{year}年，{name}回到故乡，寻找失踪的父亲。",
    "{year}년, {name} 은 가족의 비밀을 알게 된다.",
    "{year} में {name} अपने गाँव लौटता है और एक पुराना राज़ खोजता है।",
    "في عام {year} يعود {name} إلى قريته ويكتشف سرا قديما.",
    "בשנת {year} {name} חוזר הביתה ומגלה סוד ישן.",
)
PHRASES: Final = {
    "add_a_plot": (ADD_A_PLOT,),
    "empty_description": ("",),
    "placeholder": PLACEHOLDERS,
    "nothing_usable": NOTHING_USABLE,
    "other_language": LANGUAGES,
    "other_script": SCRIPTS,
}
_ENTITIES = ((" and ", " &amp; "), ("'", "&#39;"), (". ", ".&nbsp;"), (", ", ",&nbsp;"), (".", "&hellip;"))


def cut(text: str, tail: str) -> str:
    """Return a text as a listing shows it: cut between two words, with its tail.

    >>> cut("word " * 50, " ... more")[-18:]
    'word word ... more'
    """
    return text[:CUT_AT].rsplit(" ", 1)[0] + tail


def put_dash_inside(text: str) -> str:
    """Return a text with an em dash inside its first sentence.

    >>> put_dash_inside("A man comes home late. It rains.")
    'A man comes—home late. It rains.'
    """
    words = text.split(" ", 3)
    return f"{' '.join(words[:3])}—{words[3]}"


def escape(text: str) -> str:
    """Return a text with one kind of HTML entity in it.

    >>> escape("Rock and roll and love."), escape("It rains.")
    ('Rock &amp; roll &amp; love.', 'It rains&hellip;')
    """
    for plain, entity in _ENTITIES:
        if plain in text:
            return text.replace(plain, entity)
    return text + "&hellip;"
