"""The vocabulary of the embedded sample. Owns words, names and places, all invented or everyday; knows no grammar.

Many words stand under several genres on purpose: a soldier may be in a war, a history or an action film, so that no
single word settles a genre.
"""

from typing import Final

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
