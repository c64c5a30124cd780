"""A sentence or two in many languages and scripts: from the Universal Declaration of Human Rights."""

SENTENCES = {
    "russian": (
        "Все люди рождаются свободными и равными в сво"
        "ем достоинстве и правах. Они наделены разумом"
        " и совестью и должны поступать в отношении др"
        "уг друга в духе братства."
    ),
    "ukrainian": (
        "Всі люди народжуються вільними і рівними у св"
        "оїй гідності та правах. Вони наділені розумом"
        " і совістю і повинні діяти у відношенні один "
        "до одного в дусі братерства."
    ),
    "bulgarian": (
        "Всички хора се раждат свободни и равни по дос"
        "тойнство и права. Те са надарени с разум и съ"
        "вест и следва да се отнасят помежду си в дух "
        "на братство."
    ),
    "greek": (
        "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσ"
        "οι στην αξιοπρέπεια και τα δικαιώματα. Είναι "
        "προικισμένοι με λογική και συνείδηση, και οφε"
        "ίλουν να συμπεριφέρονται μεταξύ τους με πνεύμ"
        "α αδελφοσύνης."
    ),
    "arabic": (
        "يولد جميع الناس أحرارا متساوين في الكرامة وال"
        "حقوق. وقد وهبوا عقلا وضميرا وعليهم أن يعامل ب"
        "عضهم بعضا بروح الإخاء."
    ),
    "hebrew": (
        "כל בני האדם נולדו בני חורין ושווים בערכם ובזכ"
        "ויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חוב"
        "ה עליהם לנהוג איש ברעהו ברוח של אחווה."
    ),
    "hindi": (
        "सभी मनुष्यों को गौरव और अधिकारों के मामले में"
        " जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन"
        "्हें बुद्धि और अन्तरात्मा की देन प्राप्त है औ"
        "र परस्पर उन्हें भाईचारे के भाव से बर्ताव करना"
        " चाहिए।"
    ),
    "thai": (
        "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ"
    ),
    "chinese": ("人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"),
    "traditional": ("人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，並應以兄弟關係的精神相對待。"),
    "japanese": (
        "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は"
        "、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。"
    ),
    "korean": (
        "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천"
        "부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다."
    ),
    "french": (
        "Tous les êtres humains naissent libres et éga"
        "ux en dignité et en droits. Ils sont doués de"
        " raison et de conscience et doivent agir les "
        "uns envers les autres dans un esprit de frate"
        "rnité."
    ),
    "german": (
        "Alle Menschen sind frei und gleich an Würde u"
        "nd Rechten geboren. Sie sind mit Vernunft und"
        " Gewissen begabt und sollen einander im Geist"
        "e der Brüderlichkeit begegnen. Schöne Grüße a"
        "us Köln, große Straße."
    ),
    "polish": (
        "Wszyscy ludzie rodzą się wolni i równi pod wz"
        "ględem swej godności i swych praw. Są oni obd"
        "arzeni rozumem i sumieniem i powinni postępow"
        "ać wobec innych w duchu braterstwa."
    ),
    "czech": (
        "Všichni lidé rodí se svobodní a sobě rovní co"
        " do důstojnosti a práv. Jsou nadáni rozumem a"
        " svědomím a mají spolu jednat v duchu bratrst"
        "ví."
    ),
    "turkish": (
        "Bütün insanlar hür, haysiyet ve haklar bakımı"
        "ndan eşit doğarlar. Akıl ve vicdana sahiptirl"
        "er ve birbirlerine karşı kardeşlik zihniyeti "
        "ile hareket etmelidirler."
    ),
    "vietnamese": (
        "Tất cả mọi người sinh ra đều được tự do và bì"
        "nh đẳng về nhân phẩm và quyền lợi. Mọi con ng"
        "ười đều được tạo hoá ban cho lý trí và lương "
        "tâm và cần phải đối xử với nhau trong tình bằ"
        "ng hữu."
    ),
    "english": (
        "All human beings are born free and equal in d"
        "ignity and rights. They are endowed with reas"
        "on and conscience and should act towards one "
        "another in a spirit of brotherhood."
    ),
    "tamil": (
        "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்"
        "கின்றனர்; அவர்கள் மதிப்பிலும், உரிமைகளிலும் ச"
        "மமானவர்கள், அவர்கள் நியாயத்தையும் மனச்சாட்சிய"
        "ையும் இயற்பண்பாகப் பெற்றவர்கள்."
    ),
    "gurmukhi": ("ਸਾਰਾ ਮਨੁੱਖੀ ਪਰਿਵਾਰ ਆਪਣੀ ਮਹਿਮਾ, ਸ਼ਾਨ ਅਤੇ ਹੱਕਾਂ ਦੇ ਪੱਖੋਂ ਜਨਮ ਤੋਂ ਹੀ ਆਜ਼ਾਦ ਹੈ ਅਤੇ ਸੁਤੇ ਸਿਧ ਸਾਰੇ ਲੋਕ ਬਰਾਬਰ ਹਨ।"),
    "telugu": (
        "ప్రతిపత్తిస్వత్వముల విషయమున మానవులెల్లరును జన"
        "్మతః స్వతంత్రులును సమానులును నగుదురు. వారు వి"
        "వేదన-అంతఃకరణ సంపన్నులగుటచే పరస్పరము భ్రాతృభావ"
        "ముతో వర్తింపవలయును."
    ),
    "georgian": (
        "ყველა ადამიანი იბადება თავისუფალი და თანასწორ"
        "ი თავისი ღირსებითა და უფლებებით. მათ მინიჭებუ"
        "ლი აქვთ გონება და სინდისი და ერთმანეთის მიმარ"
        "თ უნდა იქცეოდნენ ძმობის სულისკვეთებით."
    ),
    "armenian": (
        "Բոլոր մարդիկ ծնվում են ազատ ու հավասար՝ իրենց"
        " արժանապատվությամբ ու իրավունքներով։ Նրանք ու"
        "նեն բանականություն ու խիղճ և միմյանց պետք է ե"
        "ղբայրաբար վերաբերվեն։"
    ),
    "amharic": (
        "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው። የተፈጥሮ ማስተዋልና ሕሊና ስላለው አንዱ ሌላውን በወንድማማችነት መንፈስ መመልከት ይገባዋል።"
    ),
}
