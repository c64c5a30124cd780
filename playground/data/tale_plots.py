"""The words and plots of Tales: pure data, read by `playground.data.tales`.

A plot is a tuple of steps; a step is a tuple of templates, of which one is used. In a template, `[a|b|c]` is one of the
alternatives (never nested) and `{name}` is a role that was cast once for the whole story, so a name, thing or place
that comes back later is the same one. An empty template means that the step may be left out.

The roles:

- `A` the hero, with `he him his He His`, `who` (girl, fox, ...), `adj` and `Adj` (as a name: "the Brave");
- `B` the friend, with `heB himB hisB HeB`: always the other pronoun than the hero's, so that pronouns stay clear;
- `C` a third child (name only); `G` an adult of the family; `W Wc heW` a worker ("the baker", "The baker", "he");
- `toy a_toy` a possession that can break, `thing thing2 thing3` three others, with `a_thing a_thing2 a_thing3` ("a red
  kite") and `A_thing`;
- `owner` one of A, B, C, `owned` and `a_owned` that child's possession (`thing`, `thing2`, `thing3` in this order) and
  `speaker` one of the other two;
- `home place place2` three places ("the garden"), with `at At at2 At2` ("in the garden");
- `spot Spot spot2 spot3` in a house, `out Out` outdoors; each says where ("under the bed");
- `animal an_animal`, `trouble` (how it is found), `rescue` (what frees it), `pet` (a pet's name);
- `food` plural; number words `n n1 n2 gone left` with gone = n1 + n2 and n = gone + left, and `m` another number;
  `Gone Left M` the same with a capital;
- `day`; `word Word` (a secret word) and `decoy` (a wrong one); `riddle` and `answer`;
- `plan` and `planned` (infinitive and past), `inside` (what was done instead, past), `storm` and `stormed` ("rain",
  "it began to rain"), `fun` (what friends did, past), `chore` (past).
"""

GIRLS = (
    *("Mia", "Anna", "Lily", "Nora", "Ruby", "Ella", "Zoe", "Ivy", "Tess", "Clara"),
    *("Rosa", "Hazel", "Maya", "Wren", "Dora", "Pippa", "Lucy", "Fern", "Kate", "June"),
)
BOYS = (
    *("Tom", "Ben", "Max", "Leo", "Sam", "Finn", "Oscar", "Hugo", "Jack", "Theo"),
    *("Milo", "Otto", "Gus", "Noah", "Toby", "Felix", "Ravi", "Omar", "Luca", "Emil"),
)
HERO_ANIMALS = ("fox", "rabbit", "bear", "badger", "otter", "cat", "donkey", "wolf")
TRAITS = (
    *("brave", "kind", "shy", "clever", "cheerful", "gentle", "curious", "quiet", "sleepy", "proud"),
    *("merry", "careful", "grumpy", "friendly", "busy"),
)
FAMILY = ("Grandma", "Grandpa", "Mother", "Father", "Aunt Greta", "Uncle Bob")
WORKERS = (
    *(("the baker", "he"), ("the farmer", "she"), ("the miller", "he"), ("the teacher", "she")),
    *(("the gardener", "he"), ("the painter", "she"), ("the shepherd", "he"), ("the doctor", "she")),
    *(("the fisherman", "he"), ("the queen", "she"), ("the tailor", "he"), ("the potter", "she")),
)
COLORS = (
    *("red", "blue", "green", "yellow", "purple", "pink", "white", "black", "brown", "orange"),
    *("golden", "silver", "striped", "spotted"),
)
THINGS = (
    *("kite", "ball", "drum", "boat", "bell", "lamp", "hat", "scarf", "key", "book", "cup", "whistle", "ring"),
    *("basket", "doll", "umbrella", "blanket", "flute", "shell", "stone", "feather", "coin", "button"),
    *("puppet", "train", "clock", "box", "bucket", "rope", "jar", "pencil", "pillow"),
)
FRAGILE = (
    "kite",
    "drum",
    "boat",
    "lamp",
    "cup",
    "whistle",
    "umbrella",
    "doll",
    "flute",
    "puppet",
    "train",
    "clock",
    "jar",
)
PLACES = (
    *(("in", "garden"), ("at", "market"), ("by", "river"), ("on", "hill"), ("in", "forest"), ("at", "beach")),
    *(("by", "lake"), ("in", "barn"), ("at", "school"), ("by", "bridge"), ("in", "meadow"), ("at", "mill")),
    *(("by", "well"), ("at", "harbor"), ("by", "tower"), ("on", "farm"), ("in", "park"), ("by", "pond")),
    *(("in", "valley"), ("at", "castle"), ("at", "station"), ("in", "orchard"), ("by", "waterfall"), ("in", "field")),
)
INDOOR_SPOTS = (
    *("under the bed", "behind the door", "on the shelf", "in the drawer", "under the stairs", "in the cupboard"),
    *("behind the curtain", "under the rug", "by the window", "in the old chest", "under the table", "in the teapot"),
    *("behind the stove", "on the piano", "under the chair", "in the bath tub"),
)
OUTDOOR_SPOTS = (
    *("under the flat stone", "behind the big oak", "in the hollow log", "under the bench", "beside the gate"),
    *("in the tall grass", "behind the wall", "in the thorn bush", "by the fence"),
    *("under the dry leaves", "between two rocks", "behind the shed", "under the apple tree"),
)
ANIMALS = (
    *("bird", "mouse", "turtle", "frog", "kitten", "puppy", "duck", "owl", "squirrel", "hedgehog", "lamb"),
    *("crab", "piglet", "snail", "crow", "goose"),
)
TROUBLES = (
    *(("caught in a net", "cut the net"), ("stuck in the mud", "pulled with both hands")),
    *(("trapped under a branch", "lifted the branch"), ("tangled in a string", "untied the string")),
    *(("shut in a cage", "opened the cage"), ("stuck in a hole", "dug and dug")),
    *(("lost in the fog", "showed the way home"), ("cold and wet", "made a small fire")),
)
PETS = (
    *("Button", "Pepper", "Biscuit", "Clover", "Mittens", "Pebble", "Honey", "Socks", "Bubbles", "Pickle"),
    *("Ginger", "Dumpling", "Feather", "Noodle"),
)
FOODS = (
    *("apples", "pears", "plums", "nuts", "cookies", "buns", "eggs", "carrots", "cherries", "peaches"),
    *("muffins", "pancakes"),
)
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SECRET_WORDS = (
    *("pumpkin", "thunder", "banana", "rainbow", "turnip", "dragon", "button", "mushroom", "pepper", "snowflake"),
    *("trumpet", "pancake", "moonlight", "pickle", "tiger", "bubble"),
)
PLANS = (
    *(("have a picnic", "had a picnic"), ("fly a kite", "flew a kite"), ("catch fish", "caught fish")),
    *(("pick berries", "picked berries"), ("build a tree house", "built a tree house")),
    *(("ride the pony", "rode the pony"), ("sail a boat", "sailed a boat"), ("plant beans", "planted beans")),
    *(("race snails", "raced snails"), ("hunt for shells", "hunted for shells")),
)
INSIDE = (
    *("baked a cake", "told stories", "painted pictures", "made paper boats", "built a tent from a sheet"),
    *("put on a puppet show", "sang songs", "played cards"),
)
STORMS = (
    *(("rain", "it began to rain"), ("snow", "it began to snow"), ("hail", "it began to hail")),
    *(("fog", "a thick fog came"), ("wind", "a wild wind came"), ("storm", "a big storm came")),
)
FUN = (
    *("picked flowers", "climbed trees", "looked for bugs", "told jokes", "played tag", "skipped stones"),
    *("chased butterflies", "watched the clouds", "rolled down the grass", "jumped over puddles"),
)
CHORES = ("swept the floor", "carried water", "chopped wood", "washed the windows", "fed the hens", "pulled weeds")
RIDDLES = (
    ("I have a face and two hands, but I cannot smile", "a clock"),
    ("I have teeth, but I never bite", "a comb"),
    ("I get shorter and shorter while I shine", "a candle"),
    ("I follow you all day, but I hide at night", "a shadow"),
    ("I have one eye, but I see nothing", "a needle"),
    ("I run all day, but I have no feet", "a river"),
    ("I have four legs, but I never walk", "a table"),
    ("I have many leaves, but I am not a tree", "a book"),
    ("I get wet while I make you dry", "a towel"),
    ("I fall all winter, but I never get hurt", "snow"),
)

Step = tuple[str, ...]
Plot = tuple[Step, ...]

HERO: Step = (
    "Once there was a {adj} {who} named {A}.",
    "Once there was a {adj} {who} named {A} who lived [near|close to] {home}.",
    "Once upon a time, a {adj} {who} named {A} lived in a [little|cozy|tall] house near {home}.",
    "{A} was a {adj} {who} who lived [near|close to|not far from] {home}.",
    "In a house near {home} lived a {adj} {who}. {His} name was {A}.",
    "This is the story of {A}, a {adj} {who} who lived near {home}.",
    "Near {home} lived a {adj} {who} [named|called] {A}.",
)
# Something small that happens between a promise and its day: it moves what must be remembered further away.
PAUSE: Step = (
    "",
    "",
    "",
    "The [sun|sky] was [bright|warm|golden] and the birds [sang|were singing].",
    "A [soft|cool|warm] wind blew [through the trees|over the grass].",
    "High up, a cloud looked like a [whale|dragon|giant|sheep].",
    "{A} [hummed|whistled|sang] a little song.",
    "Far away, [a dog barked|a bell rang|someone laughed].",
)
END: Step = (
    "",
    "",
    "",
    "That night the {adj} {who} slept [well|like a stone].",
    "From then on, everyone called {him} {A} the {Adj}.",
    "It was a good day for a {adj} {who}.",
    "If you [go to|visit] {home}, you can ask {A} about it.",
)

LOST: Plot = (
    HERO,
    (
        "{His} best treasure was {a_thing} from {G}.",
        "{G} had given {him} {a_thing}[| for {his} birthday].",
        "{He} had {a_thing}, and {he} [loved|liked] it more than [cake|anything].",
    ),
    (
        "One [morning|evening], {he} put it {spot} [so that nobody would step on it|to keep it safe].",
        '"I will keep it {spot}," {he} said, "[so it will be safe|and nobody will find it]."',
        "{He} hid it {spot}, and [soon|then] {he} forgot all about it.",
    ),
    (
        "Then {B} came [over|to visit], and they {fun} {at} until the sun went down.",
        "Then {he} went to {place} with {his} friend {B}, and they {fun}[| all day].",
        "On {day}, {he} went to {place}. {His} friend {B} was there too, and they {fun}.",
        "[After lunch|Later], {he} and {his} friend {B} {fun} {at}.",
    ),
    (
        "[In the evening|Back at home], {A} [looked for|wanted] the {thing}, but it was [gone|not there].",
        'Then {A} [stopped|sat up]. "Where is my {thing}?" {he} [cried|asked].',
    ),
    (
        "",
        "",
        "{He} looked {spot2} and {spot3}, but {he} found only [dust|a sock|an old shoe|a dead fly].",
        "They looked {spot2}. They looked {spot3}. [Nothing!|No {thing}!]",
        "It was not {spot2}, and it was not {spot3}.",
    ),
    (
        '"[Think|Do not cry], {A}," said {B}. "Where did you [put it|see it last]?"',
        '{B} took {his} hand. "Where did you [put it|have it last]?" {heB} asked.',
        '"Let me help you," said {B}. "Where was the {thing} this morning?"',
    ),
    (
        '{A} [thought hard|closed {his} eyes]. "I put it {spot}!" {he} [shouted|said].',
        '"[Oh|Now I know]! It is {spot}," said {A}.',
    ),
    (
        "They [ran|hurried] to look {spot}, and there [was|lay] the {thing}.",
        '{B} was faster, and when {A} came, {heB} held up the {thing}. "It was {spot}," {heB} laughed.',
        "And yes, the {thing} was still {spot}.",
    ),
    (
        '"[Thank you|You are a good friend], {B}," said {A}[| and hugged the {thing}].',
        "{A} [laughed|smiled] and [thanked|hugged] {B}.",
        "Now {A} always looks {spot} first.",
    ),
    END,
)

GIFT: Plot = (
    HERO,
    (
        '{His} [best |]friend {B} often said, "[How I wish|I wish] I had {a_thing}."',
        '"[More than anything|One day], I would like {a_thing}," {his} friend {B} told {him}.',
        "{He} knew what {his} friend {B} wanted most of all: {a_thing}.",
    ),
    (
        "{B} had a birthday on {day}, but {A} had no [money|coins].",
        "On {day} {B} would be [six|seven|eight], and {A} [did not have|had not] one coin.",
    ),
    (
        "So {A} went to {W} and {chore}[| all day| for three days].",
        "So {he} worked for {W}. {He} {chore} and [never stopped|did not complain].",
        '"Can I help you?" {he} asked {W}. Then {he} {chore} until it was dark.',
    ),
    (
        '"What [would you like|shall I give you] for your help?" asked {W}. "{A_thing}, please," said {A}.',
        "{Wc} was [pleased|glad] and gave {him} {a_thing}.",
        "{Wc} [smiled|nodded] and [went to a cupboard|opened a box]. In it was {a_thing}.",
    ),
    PAUSE,
    (
        "On {day}, {A} [knocked at {B}'s door|went to see {B}] with something behind {his} back.",
        "When {day} came, {A} [ran|walked] to {B}'s house with a [big|small|round] box.",
    ),
    (
        '"[Guess|Look] what I have for you!" said {A}. It was the {thing}.',
        "{B} [looked|opened it] and jumped for joy. It was {a_thing}!",
        "{B} closed {hisB} eyes, and {A} gave {himB} the {thing}.",
    ),
    (
        '"You remembered my wish!" [cried|said] {B}.',
        '"{A_thing}!" cried {B}. "[You remembered|How did you know]?"',
        '"I wanted this so much," said {B}. "Thank you, {A}."',
    ),
    (
        "",
        "{HeB} [took|carried] the {thing} everywhere, even to [bed|school|the bath].",
        "And {A}, who had worked so hard for {W}, was just as happy as {B}.",
        "They [ate|shared] cake, and the {thing} [stood|lay] between them on the table.",
    ),
    END,
)

TRADE_BACK: Plot = (
    HERO,
    (
        "{He} had {a_thing}, and {his} friend {B} had {a_thing2}.",
        "{A} owned {a_thing}. {His} friend {B} owned {a_thing2}.",
    ),
    (
        '[One day|One morning] they met {at}. "[I like|What a fine thing is] your {thing2}," said {A}.',
        'One [sunny|rainy|windy] day they {fun} {at}. "I like your {thing2}," said {A}.',
    ),
    (
        '"Will you [trade|swap] it for my {thing}?" {he} asked.',
        '"I will give you my {thing} for it," {he} said.',
        '"I have {a_thing}. Do you want to trade?" {he} asked.',
    ),
    (
        '{B} thought about it. "[All right|Yes|Why not]," {heB} said, and they shook hands.',
        '"[Done|Yes]!" said {B}[|, and {heB} laughed].',
    ),
    (
        "So {A} went home with the {thing2}, and {B} went home with the {thing}.",
        "{A} took the {thing2}, and {B} took the {thing}, and [both|they] went home.",
        "Now the {thing2} was {A}'s, and the {thing} was {B}'s.",
    ),
    (
        "But that night {A} could not sleep. {He} missed {his} {thing}.",
        "But the {thing2} was not the same. {A} missed {his} {thing}.",
        '"This {thing2} is nice," {he} said at home, "but it is not my {thing}."',
    ),
    (
        "The next [day|morning], {B} was [sad|quiet] too, for {heB} missed {hisB} {thing2}.",
        '"I miss my {thing2}," said {B} [the next day|in the morning].',
        "There was a knock at the door. It was {B}, who wanted the {thing2} back.",
    ),
    (
        "So they traded back, and {A} hugged the {thing} and {B} hugged the {thing2}.",
        "They laughed and traded back. {A} had the {thing} again, and {B} had the {thing2}.",
        '"Here is your {thing2}," said {A}. "And here is your {thing}," said {B}.',
    ),
    (
        "",
        "",
        '"[Old|Dear] things are best," said {A}.',
        '"A [trade|swap] is fun," said {B}, "but [a friend|home] is better."',
        "",
        "",
    ),
    END,
)

TRADE_KEEP: Plot = (
    HERO,
    (
        "{He} had {a_thing}, but {he} was [a little|so] tired of it.",
        "{He} had {a_thing}, but {he} [wanted|dreamed of] something new.",
    ),
    (
        "{At} {he} met {B}, who [had|carried] {a_thing2} and was [crying|sighing].",
        "One day {he} met {B} {at}. {B} had {a_thing2} and a [long|sad] face.",
    ),
    (
        '"[Nobody likes|I am tired of] my {thing2}," said {B}.',
        '"I would rather have {a_thing} than this {thing2}," said {B}.',
        '"Who wants {a_thing2}?" said {B}. "Not me."',
    ),
    (
        '"But [it is lovely|I like it]!" said {A}. "Take my {thing}, and give me your {thing2}."',
        '"Then let us trade," said {A}. "You get my {thing}, and I get your {thing2}."',
        '"I would be glad to have it," said {A}. So {he} got the {thing2}, and {B} got the {thing}.',
    ),
    PAUSE,
    (
        "Many [days|weeks|years] later, they met {at} again.",
        "[A week|A month|A year] went by, and they met again {at}.",
        "When they were [old|big], they met once more {at}.",
    ),
    (
        '"Do you still have my {thing}?" asked {A}. "Yes!" said {B}. "And you, do you have my {thing2}?"',
        "{B} still had the {thing}, and {A} still had the {thing2}.",
        "{B} [came|ran] with the {thing} in {hisB} hand, and {A} had the {thing2} in a bag.",
    ),
    (
        "",
        '"It is the best thing I own," said {A} about the {thing2}.',
        "{B} had [even |]given the {thing} a name: {pet}. {A} [laughed|clapped] and called the {thing2} {pet} too.",
        "{A} would not have given the {thing2} away for [gold|all the {food} in the world].",
    ),
    END,
)

ERRAND: Plot = (
    HERO,
    (
        '"Take this {thing} to {W} {at}," said {G}[| one morning].',
        'One day {G} gave {him} {a_thing}. "[Bring|Carry] it to {W} {at}," {G} said.',
    ),
    (
        '"[Do not stop|Do not be late], and do not give it to anyone else."',
        '"[Be careful with it|Hold it tight]."',
        "",
    ),
    PAUSE,
    (
        'Near {place2}, {he} met a [hungry|clever] {animal}. "What a fine {thing}! Is it for me?" it asked.',
        'Soon a fat {animal} sat in the road. "[Give|Sell] me that {thing}," it said.',
        'On the road by {place2}, {an_animal} said to {him}, "Stop! I want that {thing}."',
    ),
    (
        '"[No|I am sorry]," said {A}. "This {thing} is for {W}."',
        '"It is not mine," said {A}. "{G} told me to take it to {W}."',
    ),
    (
        "The {animal} shook its head and [went away|let {him} pass].",
        '"Then [I will walk|let me come] with you," said the {animal}, [and so it did|and they went on together].',
    ),
    (
        "At last {A} came to {place} and found {W}.",
        "{Wc} was waiting {at}[| and waved a hand].",
        "Soon {he} saw {place}, and there stood {W}.",
    ),
    (
        '"Here is the {thing} from {G}," said {A}.',
        '"My {thing}!" said {W}. "[Thank {G}|Say thank you to {G}] for me."',
    ),
    (
        "",
        "{Wc} gave {him} {m} {food}, and {A} went home [singing|with a smile|before dark].",
        "{A} ran home [and told|to tell] {G} about {W} and the {animal}.",
        '"I knew that {A} would bring it," said {G} in the evening.',
    ),
    END,
)

PROMISE_KEPT: Plot = (
    HERO,
    (
        '"On {day}, I will bring you my {thing}," {he} [promised|told] {his} friend {B}.',
        '{His} friend {B} [was sick in bed|had hurt {hisB} foot]. "You will get my {thing} on {day}," {A} promised.',
        '"May I play with your {thing} on {day}?" asked {B}. "Yes, I will bring it to you," {A} promised.',
    ),
    (
        '"Do you really promise?" asked {B}. "[Really|Yes]," said {A}.',
        '"Do not forget," said {B}. "I never forget," said {A}.',
        "",
        "",
    ),
    (
        "Then {day} came, and it was a [warm|lovely|bright] day.",
        "On {day} the sun was shining[| and the birds sang].",
        "{day} came at last.",
    ),
    (
        '"Come with us to {place}!" called {C}. "We want to {plan}."',
        '"We are going to {place}," said {C}. "{A}, will you come and {plan}?"',
        '{C} came to the door. "[Let us go|Come] to {place} and {plan}," {C} said.',
    ),
    (
        "",
        "",
        "{A} wanted to go very much. But then {he} thought of {B}.",
        "How {A} loved {place}! {He} [almost|nearly] said yes.",
        "Oh, to {plan}! But there was {B}.",
    ),
    (
        '"I cannot," {he} said. "I promised to bring {B} my {thing}."',
        '"Not today," {he} said. "{B} is waiting for my {thing}."',
        '"No, {C}," {he} said. "I told {B} that I would come with my {thing}."',
    ),
    (
        "So {he} took the {thing} and went to {B}'s house.",
        "{He} [ran|walked] [up|down] the road with the {thing} under {his} arm.",
        "Soon {he} knocked at {B}'s door and held up the {thing}.",
    ),
    (
        '"You came!" said {B}. "[I knew it|I was sure you would]."',
        "{B} sat by the window and waved when {heB} saw the {thing}.",
        '"It is {day}, and there is the {thing}!" laughed {B}.',
    ),
    (
        "And later {C} came too, with [a bag|a basket] of {food} from {place}.",
        "They {inside} until [dark|dinner|bedtime], and nobody missed {place}.",
        "",
        "",
    ),
    END,
)

PROMISE_BROKEN: Plot = (
    HERO,
    (
        '"Meet me {at} on {day}," said {his} friend {B}, "and bring your {thing}." "I [promise|will]," said {A}.',
        "{He} promised to meet {his} friend {B} {at} on {day} and to bring {his} {thing}.",
        '"Let us meet {at} on {day}," said {B} to {A}. "I want to see your {thing}." "I will be there," said {A}.',
    ),
    (
        "But on {day}, {C} wanted to {plan}, and {A} forgot[| all about it].",
        "But when {day} came, {A} went with {C} to {plan}.",
        "On {day}, {he} was with {C}. They wanted to {plan}.",
    ),
    ("They {fun}, they laughed, and the day went by.", "It was fun, and {he} never thought of {B}."),
    (
        "",
        "",
        "{B} waited {at} until it was dark.",
        "{B} stood {at} alone, and [nobody|no {A}] came.",
        "All day long, {B} looked down the road from {place}.",
    ),
    (
        "That night {A} saw the {thing} {spot} and [turned red|felt sick]. {He} had broken {his} promise.",
        "At bedtime {A} found the {thing} {spot}. Then {he} remembered.",
        'In the evening {A} looked {spot}, and there was the {thing}. "Oh no! {B}!" {he} cried.',
    ),
    (
        "Early in the morning, {he} ran to {B} [with the {thing}|and knocked at the door].",
        "The next day {he} went to {B} with a [red|hot] face.",
    ),
    (
        '"I am sorry," {he} said. "You waited {at}, and I did not come."',
        '"I forgot you, and I am sorry," {he} said. "[Please keep|You may have] my {thing}[| for a week]."',
        '"It was {day}, and I forgot it," said {A}. "Can you be my friend again?"',
    ),
    (
        '{B} was quiet. Then {heB} smiled. "[Come|Let us go] to {place} now," {heB} said.',
        '"I was sad {at}," said {B}, "but [now you are here|I am not sad now]."',
        "{B} looked at {him} for a long time. Then {heB} gave {him} {hisB} hand.",
    ),
    (
        "So they went to {place} with the {thing}, and {A} never broke a promise again.",
        "They {fun} {at}, and [this time|now] {A} stayed until the end.",
    ),
    END,
)

WEATHER: Plot = (
    HERO,
    (
        "{He} and {his} friend {B} wanted to {plan} {at}.",
        "It was {day}, and {A} and {B} had a plan. They wanted to {plan} {at}.",
        '"Tomorrow we will {plan} {at}," {he} told {his} friend {B}.',
    ),
    (
        "",
        "They packed [some|a bag of|a box of] {food} and {a_thing}.",
        "{B} brought {food}, and {A} brought {a_thing}.",
        "{A} took {a_thing}, and {B} took a bag of {food}.",
    ),
    (
        "But [on the way|just then|as they set out], {stormed}.",
        "[They were almost there|They had not gone far] when {stormed}.",
        "They could already see {place}, but then {stormed}.",
    ),
    (
        '"[Oh no|What bad luck]!" said {A}. "We cannot {plan} in this {storm}."',
        "They [ran|hurried] home, and {B} was [very sad|close to tears].",
        '"Look at that {storm}," said {B}. "Now we must stay at home."',
    ),
    (
        '"[Never mind|Do not be sad]," said {G}. "[There is a lot to do inside|Come in and get warm]."',
        '"The {storm} will [pass|go away]," said {A}. "[Wait and see|Let us stay inside]."',
    ),
    (
        "So they {inside} and ate all the {food}.",
        "They {inside}, and {G} [gave them tea|made soup], and they ate the {food}.",
        "{A} and {B} {inside}. {G} came too and ate {m} {food}.",
    ),
    (
        "The next morning, the {storm} was gone and the sky was blue.",
        "In the morning {B} looked out. There was no {storm} [any more|at all].",
        "Then, in the night, the {storm} stopped.",
    ),
    (
        "They took the {thing} and went to {place}, and at last they {planned}.",
        "So they went to {place} after all. They {planned}, and {A} had not forgotten the {thing}.",
        "At last they stood {at}, with new {food} and the same {thing}, and they {planned}.",
    ),
    (
        '"But the day of the {storm} was [nice|fun] too," said {B}.',
        '"Thank you, {storm}," laughed {A}. "Now we had two good days."',
        "",
    ),
    END,
)

RIDDLE: Plot = (
    HERO,
    (
        "{At} {he} met an old {animal} with {a_thing}.",
        "One day {he} came to {place}, and there sat an old {animal} with {a_thing}.",
        "Every day {he} went past {place}. One day, an old {animal} sat there with {a_thing}.",
    ),
    (
        '"Answer my riddle," said the {animal}, "and the {thing} is yours."',
        '"[Do you want|Would you like] this {thing}?" asked the {animal}. "Then answer my riddle."',
        '"Can you tell me what I am?" asked the {animal}. "If you can, I will give you my {thing}."',
    ),
    ('"{riddle}. What am I?"', 'It said: "{riddle}. [Who|What] am I?"'),
    (
        "",
        "{A} [thought and thought|scratched {his} head]. {He} looked at the sky, and {he} looked at {his} feet.",
        '"Are you a [king|fish|ghost|spoon]?" asked {A}. "No," said the {animal}[|, and it laughed].',
        "{A} did not know. {He} went home and asked {G}, but {G} only smiled.",
    ),
    ("", "{He} [walked up and down|sat on a stone] and said the riddle again and again."),
    (
        '"I know!" {he} [cried|shouted] at last. "You are {answer}!"',
        'Then {he} [laughed|jumped up]. "The answer is {answer}," {he} said.',
        '"It is {answer}!" said {A}. "What else could it be?"',
    ),
    (
        '"[Right|Well done]," said the {animal}, and gave {him} the {thing}.',
        'The {animal} was glad. "{A}, the {thing} is yours," it said.',
        "So {he} got the {thing}, and the {animal} went to look for a harder riddle.",
    ),
    (
        "The next day {A} asked {his} friend {B} the same riddle, but {B} did not think of {answer}.",
        "{A} put the {thing} {spot}, and every time {he} saw {answer}, {he} thought of the old {animal}.",
        "{A} took the {thing} home and asked {B} the riddle. {B} said {answer} at once.",
    ),
    END,
)

COUNTING: Plot = (
    HERO,
    (
        "One day {he} found {n} {food} {at}.",
        "{G} gave {him} {n} {food} in [a bag|a basket|a bowl].",
        "{He} had {n} {food}, and {he} was [very |]proud of them.",
        '"Here are {n} {food}," said {W}. "They are for you," and {A} put them in {his} bag.',
    ),
    (
        "On the way {he} met {B}, who was [hungry|sad|tired]. {A} gave {himB} {n1}.",
        '{B} came by. "May I have some {food}?" {heB} asked, and {A} gave {himB} {n1}.',
        'First {he} met {B} and said, "Have some {food}!" {B} took {n1}.',
    ),
    PAUSE,
    (
        "Then {he} saw {C} {at2} and gave {C} {n2}.",
        '{At2} {he} met {C}. "Here, take {n2}," said {A}.',
        "Next came {C}, who looked at the {food}, and so {C} got {n2}.",
    ),
    (
        '"How many {food} do you have left?" asked {G} at home.',
        "At home, {A} sat down and counted the {food}.",
    ),
    (
        '"I had {n}," {he} said. "I gave {n1} to {B} and {n2} to {C}. Now I have {left}."',
        '"{B} got {n1}, and {C} got {n2}," {he} said. "So {left} of my {n} {food} are left."',
        '"{Left}!" {he} said. "For {n1} went to {B} and {n2} went to {C}, and first there were {n}."',
    ),
    (
        "{He} ate one and put the others {spot}.",
        '"{Left} is [enough|plenty]," {he} said.',
        "And those {left} {food} [tasted|were] better than {n}, because {he} had shared.",
    ),
    END,
)

RESCUE: Plot = (
    HERO,
    (
        "One day {he} went to {place} with {his} {thing}.",
        "{He} was walking {at} with {his} {thing} in {his} hand.",
        "{G} gave {him} {a_thing}, and {he} took it to {place} to show it to {B}.",
    ),
    (
        "There {he} [found|saw] a little {animal}. It was {trouble}.",
        '"Help!" called a small voice. It was a little {animal}, {trouble}.',
        "{He} heard someone cry {out}. It was a little {animal}, {trouble}.",
    ),
    (
        "{A} put down the {thing} and {rescue}, and soon the {animal} was safe.",
        '"[Hold still|Do not be afraid]," said {A}. {He} {rescue}, and soon the {animal} was safe.',
        "{A} helped at once. {He} {rescue}, and soon the {animal} could [walk|laugh] again.",
    ),
    (
        '"Thank you," said the {animal}. "[One day|Some day] I will help you."',
        '"I will not forget this," said the {animal}.',
        '"You are kind," said the {animal}. "When you need me, I will come."',
    ),
    ('"You are [so little|very small]," laughed {A}. "How could you help me?"', ""),
    (
        "[A week|A month] later, {A} lost {his} {thing} {at2}.",
        "[In the fall|In the spring|Many days later], {his} {thing} fell into a deep hole {at2}.",
        "[A year|Two weeks] went by. Then the wind took {his} {thing} and blew it into the water {at2}.",
    ),
    (
        "",
        "",
        "{He} [looked and looked|tried and tried], but {he} could not [get|find] it. {He} began to cry.",
        "{A} called for {B}, but [nobody heard {him}|{B} was far away].",
        '"My {thing}!" cried {A}. "How will I ever get it back?"',
    ),
    (
        "Then {he} heard a small voice. It was the {animal}!",
        "Who came [along|by]? It was the little {animal}!",
        "Something moved in the grass. It was the same little {animal}!",
    ),
    (
        '"You helped me when I was {trouble}," it said. "Now I will help you."',
        '"Once I was {trouble}, and you were kind," it said.',
        '"Do you remember? I was {trouble}," it said.',
    ),
    (
        "And it [ran|hurried] off and came back with the {thing}.",
        "Before {he} could speak, the {thing} was back in {his} hand.",
        "It was small enough to get the {thing} and brought it to {him}.",
    ),
    (
        "Now {A} and the {animal} are [good|best] friends.",
        '"So little, and so [brave|strong]!" said {A}.',
        "",
        "",
    ),
    END,
)

PASSWORD: Plot = (
    HERO,
    (
        "{His} friend {B} had a [tree house|secret hut|little cave] {at}.",
        "{B} and {A} built a [tree house|secret hut] {at}.",
        "{At}, behind a wall, was {B}'s secret room.",
    ),
    (
        'To come in, you had to know the secret word. "It is {word}," {B} whispered.',
        '"The secret word is {word}," whispered {B}. "[Never|Do not] tell anyone!"',
        '"Only those who say {word} may come in," said {B}.',
        '"What shall our secret word be?" asked {A}. "{Word}," said {B}, and so it was {word}.',
    ),
    (
        "They {fun} [there|around it] every day, until {G} called them home.",
        "Then {A} went away to visit {G}, and {he} did not come back for [a week|a month].",
        "{A} said it over and over on the way home, so that {he} would not forget.",
    ),
    PAUSE,
    (
        'The next time {A} came, the door was shut. "What is the secret word?" asked {B}.',
        '{A} came back with {a_thing} and knocked. "Say the word!" called {B}.',
        'One dark night, {A} came back. "Who is there? What is the word?" asked {B}.',
    ),
    (
        "",
        "{A} [stood still|closed {his} eyes] and thought.",
        '"Is it {food}?" asked {A}. "No!" said {B}.',
        '"[One moment|Wait]," said {A}. "I know it!"',
    ),
    (
        '"{Word}!" {he} [cried|shouted], and the door opened.',
        'Then {he} whispered, "{Word}." "[Right|Come in]!" said {B}.',
        '"I did not forget it: {word}!" {he} said, and {B} opened the door.',
    ),
    (
        "{C} came too, but {C} said {decoy}, and so {C} had to wait [outside|by the door].",
        "[Inside|On a plate] there were {n} {food}, and they ate them all.",
        "",
    ),
    (
        "To this day, {A} [smiles|laughs] when someone says {word}.",
        "They are old now, but they both still know the word {word}.",
        "",
    ),
    END,
)

MESSAGE: Plot = (
    HERO,
    (
        '"Go to {W}," said {G}, "and ask for {m} {food} and {a_thing}."',
        '{G} called {him}. "Please tell {W} that I need {m} {food} and {a_thing}."',
        '{G} wanted to bake. "I need {m} {food} from {W}," said {G}, "and {a_thing} too."',
    ),
    (
        '"{M} {food} and {a_thing}," said {A}, [and off {he} went|and {he} ran out of the door].',
        '{A} did not want to forget. "{M} {food} and {a_thing}," {he} [sang|said] [on the way|again and again].',
    ),
    (
        'Near {place} {he} met {B}. "[Come and play|Stay with me]!" said {B}, and they {fun}.',
        "On the way {he} met {B} {at}, and they {fun} for a while.",
        "{B} was {at} and called {him}. They {fun}, and the time went by.",
    ),
    (
        "",
        "",
        '"Where are you going?" asked {B}. "To {W}," said {A}.',
        "Then {A} had to [hurry|run].",
        "",
        "",
    ),
    (
        '"What do you need?" asked {W}. {A} thought [hard|for a moment].',
        'Soon {he} stood before {W}. "What did {G} [say|ask for]?" asked {W}.',
        '"Let me think," {he} said, when {he} stood before {W}.',
    ),
    (
        '"{M} {food} and {a_thing}," said {A}.',
        '"{G} needs {m} {food}," {he} said, "and {a_thing}."',
        '"I must bring {a_thing}," said {A}, "and {m} {food}."',
    ),
    (
        '{Wc} packed it all up. "[What a good memory|You did not forget a thing]!" {heW} said.',
        "{Wc} counted out the {food} and took the {thing} from the shelf.",
        '"Here you are," said {W}. "{M} {food}, and the {thing}. Say hello to {G}!"',
    ),
    (
        'At home {G} [looked|checked]: {m} {food}, and {a_thing}. "[Well done|Just right], {A}," said {G}.',
        "{G} [hugged|kissed] {him} and gave {him} one of the {food}.",
        "[Before dark|Soon] {A} was home, and {G} had the {thing}.",
    ),
    END,
)

OWNER: Plot = (
    (
        "{A}, {B} and {C} were friends.",
        "Once there were three friends, {A}, {B} and {C}.",
        "{A}, {B} and {C} all lived near {home}.",
        "The {who} {A} had two friends, {B} and {C}.",
    ),
    (
        "{A} had {a_thing}, {B} had {a_thing2}, and {C} had {a_thing3}.",
        "{A} always carried {a_thing}. {B} had {a_thing2}, and {C} had {a_thing3}.",
        "{C} had {a_thing3}. {A} had {a_thing}, but {B} only had {a_thing2}.",
    ),
    (
        "One [sunny|windy|cold] day they went to {place} to {plan}.",
        "All [day|morning|afternoon] they {fun} {at}.",
    ),
    (
        "",
        "They stayed until [the moon came up|it was dark|dinner time], and then they ran home.",
        "Then {stormed}, and they all ran home.",
        "They went home tired and happy. But one of them had lost something.",
    ),
    PAUSE,
    (
        "The next day {W} [came by|went to {place}] and found something {out}.",
        "In the morning {W} looked {out} and found something.",
        "Early the next day, something lay {out}, and {W} picked it up.",
    ),
    (
        'It was {a_owned}. "Whose is this {owned}?" asked {W}.',
        '"[Look|See], {a_owned}!" said {W}. "Who has lost it?"',
    ),
    (
        '"It belongs to {owner}," said {speaker}.',
        '"I know," said {speaker}. "That is {owner}\'s {owned}."',
        '{speaker} looked at it. "Ask {owner}," said {speaker}. "{owner} has one like that."',
    ),
    (
        "So {W} [brought|gave] the {owned} back to {owner}.",
        "{Wc} knocked at {owner}'s door with the {owned}.",
        "{owner} was very glad to have the {owned} again.",
    ),
    (
        '"[My|Oh, my] {owned}!" cried {owner}. "I [looked everywhere|thought it was gone]."',
        '{owner} [laughed|danced] for joy. "Where was it?" "It was {out}," said {W}.',
    ),
    (
        "From that day on, {owner} took good care of the {owned}.",
        "The others were glad that they still had theirs.",
        "",
    ),
)

LENDING: Plot = (
    HERO,
    (
        '{He} had {a_toy}. "[May I borrow it|Can I have it for a day]?" asked {B}[| one day].',
        "{His} friend {B} asked to borrow {his} {toy}.",
        '"How I like your {toy}," said {B}. "May I borrow it?"',
    ),
    (
        '"Yes," said {A}, "but bring it back on {day}."',
        '"[Of course|Gladly]," said {A}. "I need it again on {day}."',
        '{A} said yes. "But I must have it back on {day}," {he} said.',
    ),
    (
        "{B} took the {toy} to {place}, and there {heB} [fell|slipped] and broke it.",
        "But {B} [dropped|forgot] the {toy} {at}, and a [goat|cow|pig] sat on it.",
    ),
    (
        '"Oh no," said {B}. "What will {A} say?" {HeB} hid the {toy} {spot}.',
        "{B} was afraid. {HeB} put the {toy} {spot} and said nothing.",
        "{B} did not want {A} to see it, so {heB} put it {spot}.",
    ),
    (
        'On {day}, {A} came [to the door|to {B}\'s house]. "I have come for my {toy}," {he} said.',
        "Then {day} came, and {A} wanted the {toy} back.",
        '"It is {day}," said {A}. "Where is my {toy}?"',
    ),
    (
        '{B} [began to cry|looked at the floor]. "It is {spot}," {heB} said, "and it is broken."',
        "{B} went to get it. It was still {spot}, and it was still broken.",
        '"I am so sorry," said {B}. {HeB} looked {spot} and brought out the broken {toy}.',
    ),
    (
        '"[Things can be mended|That can be fixed]," said {A}. "Let us go to {W}."',
        '"Why did you not tell me?" said {A}. "We can ask {W}."',
        '{A} was sad, but not for long. "Maybe {W} can help us," {he} said.',
    ),
    (
        "",
        "",
        "And {W} [fixed|mended] the {toy} with a little glue.",
        "{Wc} worked on it for an hour, and then the {toy} was [as good as new|whole again].",
        '"Oh, a broken {toy}," said {W}. "Give it to me." Soon it was whole again.',
    ),
    (
        '"Next time I will tell you the truth," said {B}.',
        "{B} gave {W} {n} {food} and gave {A} a hug.",
        "",
        "",
    ),
    END,
)

TREASURE: Plot = (
    HERO,
    (
        "{Spot}, {he} found an old map.",
        "One day {he} found an old map {spot}.",
    ),
    (
        'It said: "Go to {place}, take {m} steps, and dig {out}."',
        '"Walk {m} steps from {place} and look {out}," it said.',
        'There was a picture of {place} on it, and under it: "{M} steps. Then look {out}."',
    ),
    (
        "{A} showed it to {his} friend {B}, and they [set off at once|took a lamp and went].",
        '"Look what I have found!" {he} told {B}. "Come with me!"',
    ),
    (
        "On the way, the wind took the map and [blew|carried] it away.",
        "But {an_animal} came and ate the map.",
        "It was a long way, and the map got wet and [fell apart|could not be read].",
    ),
    (
        '"Oh [dear|no]!" said {B}. "What did it say?" {A} [still knew|remembered].',
        '"Do not worry," said {A}. "I know what it said."',
    ),
    (
        "They came to {place} and took {m} steps.",
        'They walked to {place}. "One, two, three," they counted, all the way to {m}.',
        "{B} wanted to turn back, but {A} went on to {place} and counted {m} steps.",
    ),
    (
        "Then they dug {out}, and [there was|they found] a [small|big|rusty] box.",
        "{Out} they saw a [small|big|rusty] box.",
        '"It must be {out}," said {A}, and it was: a [small|big|rusty] box!',
    ),
    (
        "In the box was {a_thing}!",
        '"{A_thing}!" cried {B}, and {heB} held it up.',
        '{A} opened it. "Is that all?" {he} said. It was {a_thing}.',
    ),
    (
        "",
        "They [shared|kept] the {thing} together, one day at {A}'s house and one day at {B}'s.",
        '"You found the map, so the {thing} is yours," said {B}. But {A} wanted to share.',
        "They took the {thing} home and put it {spot}, where the map had been.",
    ),
    END,
)

PET: Plot = (
    HERO,
    (
        "One day {he} found a little {animal} {out}.",
        "{At}, {out}, {he} found a little {animal}.",
        "{He} was {at} when {he} heard a sound. {Out} sat a little {animal}.",
    ),
    (
        '"I will call you {pet}," {he} said.',
        '"What shall we call it?" asked {B}. "{pet}," said {A}.',
        "{A} named it {pet}, because it liked [to sleep|to jump|to hide|milk|music].",
    ),
    (
        "{pet} [slept|lived] {spot} and ate {food}.",
        "Every day {pet} ate [two|three] {food} and slept {spot}.",
        "{pet} got {m} {food} a day and a bed {spot}.",
    ),
    (
        "But one [night|morning], {stormed}, and the {animal} was gone.",
        "But one day the door was open, and {pet} was gone.",
        "Then, one [Monday|Sunday], {A} came home and could not find {pet}.",
    ),
    (
        "",
        "",
        '"{pet}! {pet}!" called {A}. {He} looked {spot}, but it was empty.',
        "{A} and {B} looked {at2}. They called the name again and again.",
        "There was no {pet} {spot}, and no {pet} {spot2}.",
    ),
    (
        '"Where did you first find it?" asked {G}. "It was {out}," said {A}.',
        '"Maybe it went home," said {B}. "Where did you find it?" "I found it {out}," said {A}.',
    ),
    (
        "They [ran|went] to {place}, and there was {pet}, fast asleep {out}.",
        "So they looked {out}, and a small nose came out. It was {pet}!",
        '{A} ran to {place}. "{pet}?" {he} said, and something moved {out}. There it was!',
    ),
    (
        "",
        "",
        "{A} gave the {animal} one of the {food} and carried it home.",
        '"You silly {animal}," said {A}, "I have {food} for you {spot}."',
        '"Come home, {pet}," said {A}. "Your bed is still {spot}."',
    ),
    (
        "{pet} never ran away again.",
        "Now {A} keeps the door shut when there is {storm}.",
        "",
        "",
    ),
    END,
)

THIEF: Plot = (
    HERO,
    (
        "{G} gave {him} {n} {food}, and {he} put them {spot}.",
        "{He} had {n} {food}, and {he} kept them {spot}.",
        "{A} and {G} counted {n} {food} and put them {spot}.",
    ),
    (
        "In the morning, only {left} were left.",
        "But the next day there were only {left}.",
        "{A} went to get one, but now there were {left}.",
    ),
    (
        '"Who took {gone} of them?" asked {A}. "Not me," said {B}. "Not me," said {C}.',
        '"{Gone} {food} are gone!" said {A}. "{B}, was it you?" "No," said {B}.',
        '"There were {n}, so {gone} are gone," {he} said. "Was it {B}? Was it {C}?"',
    ),
    (
        "Then {A} saw some crumbs on the floor. They went out of the door and all the way to {place}.",
        "Small wet feet had walked over the floor. {A} followed them to {place}.",
        "{B} saw a hole in the wall, and behind it a path that went to {place}.",
    ),
    PAUSE,
    (
        "There, {out}, sat {an_animal} with a full belly.",
        "{A} looked {out}. There sat a [fat|sleepy|happy] {animal}.",
        "Something moved {out}. It was {an_animal}!",
    ),
    (
        '"Did you take my {food}?" asked {A}.',
        '"You ate {gone} of my {food}!" said {A}.',
        '"Were my {food} good?" asked {A}.',
    ),
    (
        'The {animal} looked down. "I was hungry," it said. "I am sorry."',
        '"Yes," said the {animal}. "They smelled so good, {spot}."',
        '"Only {gone} of them," said the {animal}.',
    ),
    (
        '"Next time, [just ask|knock at the door]," said {A}, and gave it one more.',
        "{A} could not be angry. {He} asked the {animal} to come to dinner.",
    ),
    (
        "Now the {animal} comes every {day}, and nobody has to steal.",
        '"It was not {B}, and it was not {C}," {A} told {G}. "It was {an_animal}!"',
        "",
    ),
    END,
)

PLOTS: tuple[Plot, ...] = (
    *(LOST, GIFT, TRADE_BACK, TRADE_KEEP, ERRAND, PROMISE_KEPT, PROMISE_BROKEN, WEATHER),
    *(RIDDLE, COUNTING, RESCUE, PASSWORD, MESSAGE, OWNER, LENDING, TREASURE, PET, THIEF),
)
