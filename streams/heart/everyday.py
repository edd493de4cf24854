"""Everyday words: those that people say without meaning a brand, in Indonesian and English.

A list by hand of what brands like to be called: nature, colours, animals, food, places, family, praise, and the verbs
and things of every day. It is for a warning, so it need not be whole: what it misses, a look at real posts shows.
The model's vocabulary would be no better a list: it has `samsung` and `puma`, and neither `senja` nor `orange`.
Knows nothing of brands or rules.
"""

from bisect import bisect_right

from streams.heart.terms import STOP

_INDONESIAN = """
abadi abang abu acara adik adil agung ahli air ajaib akar akhir aku alam alami alat alun aman amanah ambil amal anak
anggrek anggur angin angsa antar apel api arah arang arena arti arus asa asam asap asin asli asri asyik atap atas awal
awan awet ayah ayam ayo baca badai badak bagi bagus bahagia bahan bahari bahasa baik baja baju bakar bakso bakti bakti
balai bali bambu ban bandung bangau bangga bangku bangsa bangun banjir bank bantu banyak bapak baru barang barat baris
basah batak batas batik batu bawa bawah bawang bayam bayang bayar bayi bebas bebek belah belajar belanja beli belia
benar benang benar bening benteng berani beras berita berkah berkat bersama bersih besar besi betawi betul biasa
biaya bibir bibit bidan bijak biji bilah bina bintang biru bisnis bola boneka botol buah buaya budaya budi buka bukit
buku bulan bulat bulu bumbu bumi bunda bundar bunga bungkus buruh burung busana busur cabai cabang cahaya cair cakap
cakra cakrawala candi canggih cantik cap cara cari catat cemara cemerlang cempaka cendana cendekia cendrawasih cepat
cerah cerdas ceria cerita cermin cicak cilik cincin cinta cita coba cokelat coklat cucu cuci cukup curah daging dago
damai dapat dapur darah darat dasar datang daun daya dekat dengar depan depok desa dewa dewasa dewata dewi dingin
diri doa dompet dosen dua duit duku dunia durian duta ekonomi elang emas embun empat enak enam energi erat es fajar
gabah gadai gading gadis gajah galak gambar gampang ganda ganteng garam garis garuda gas gaya gedung gelap gelas
gelombang gemar gemas gembira gempa gerak gerobak gigi gigit gila global goreng gotong gratis gula guna gunung guntur
gurih guru gurita habis hadiah hadir halal halo halus hangat harapan hari harimau harga harta harum hasil hati
hebat hemat hidup hijau hitam hotel hujan hutan ibu ikan ikhlas iklan ilmu imut indah indonesia induk ingat ingin
inti isi istana istimewa istri jagat jago jagung jahe jaket jakarta jala jalan jalur jam jambu jamu janda janji jantung
jari jarum jasa jati jatuh jaya jelas jendela jenis jeruk jingga jitu jodoh jogja joglo juara jual jujur jumat
jumbo kabar kaca kado kain kaki kakak kaktus kamar kambing kampung kampus kanan kancil kandang kantin kantor kapal
kapas kaput karang kartu karya kasih kasur kata kawan kawat kaya kayu kebaya kebun kecap kecil kejar keju kelapa
kelas kelinci keluarga kembali kembang kembar kencana kenanga kenangan kencang kental kenyang kepala kera keramat
keras kereta kerja kering keris kertas keren kesan kian kijang kilat kilau kipas kirana kiri kirim kita kobra koko
kolam kompas kompor kopi koran kosong kota kotak kritis kuat kubah kucing kuda kue kulit kumpul kunci kuning kupu kura
kursi kurma labu lada ladang laju laku lama laman lambang lampu lancar langit langkah langsung lapar lapor laras laris
laut lautan lawang layar lebah lebaran lebih legenda lele lem lemah lembah lembut lemon lengkap lentera lestari lezat
lidah lihat lilin lima lincah lintas lipat loka lombok lontar luas lucu luka lulus lumba lumpia luwak maju macan madu
mahal mahkota main makan makanan makmur malam malang mama mandi mandiri mangga manis mantap manusia marga mari martabak
mas masa masak masjid matahari mata mawar medan megah meja mekar melati melayu melon menang menara mendung mentari
merah merak merapi merdeka merek merpati mesin mesra mewah mimpi minggu mini minum minyak mitra mobil monas motor muda
mudah mudik muka mulia mulus mulut murah murni musik musim mustika mutiara naga naik nama nanas nasi nasional natal
negara nelayan nenek niaga nikmat nilam nirwana nomor nona nusa nusantara nyala nyaman nyata obat oke olah ombak omong
ongkos orang otak otomatis pabrik padang padi pagar pagi paham pahit pahlawan pakai paket paling paman panas panah
pandai pandu pangan panggung pangeran panjang pantai papa papan papua parang pari pasar pasir pasti pasta pasti patah
patriot payung pecah pedas pedang pejuang pelangi pelita peluang pelikan pemuda pena penari pendek pengantin penuh
penyu perak perahu perempuan pergi perisai perkasa permai permata pertama pertiwi pesan pesat pesawat pesona pesta
petani petir piala pilar pilih pilihan pintar pintu piring pisang pisau pita pohon pokok polos pondok positif
prima pria pribadi profesional promo puas pucuk puja pulau puncak punya pusaka pusat putar putih putra putri rajawali
rahasia raja rakyat rakit ramah ramai rambut ranah rantai rapi rapih rasa rata ratu raya rejeki rezeki rekan rekening
remaja rempah rendang resep resmi restu riang ribu rimba ringan rindu roda roket roti ruang rubah rukun rumah rupa
rusa sabar sabun sagu sahabat sakti saldo salak salam saling salju samudra samudera sambal sampah sampai sampan sana
santai santan sapi sapu sari sarung sate satria satu saudara sawah sawit sayang sayap sayur sebelas segar segera
sehat sehari sejahtera sejati sejuk selai selalu selamat selatan seledri semangat semar semarang sembako semesta
semua semut senang sendiri sendok seni senja sentosa senyum sepatu sepeda sepi serasi seratus serba serbuk seru
setia siang siap silat silver singa sinar siomay sirih sirup siswa sosis sosial soto spesial subur suci sukses suka
sukma sultan sumatra sumber sungai supermarket surabaya surat surga surya susu sutra sutera syukur tahan tahu tajam
takjil taman tamasya tambang tanah tanam tangan tangguh tani tari tas tawa tawon teh telaga teladan telepon telur teman
tempat tempe tempo tenaga tenang tengah tenun terang terbaik terbang teratai terima terong tiang tiga tikar tiket timun
timur tinggi tinta tiram tirta titik toko tomat topi transfer tua tugu tukang tulang tulip tulus tumbuh tunas tunggal
tupai turun uang udang udara ujung ukir ulang ular undang unggul ungu unik untung urat usaha utama utara wahana waktu
walet wangi wanita waras warga warna warung wayang wijaya wisata yakin yayasan zaitun zamrud zaman
ada bukan cuma dalam kualitas kurang lumayan malah pas pernah produk salah sangat sebelum sekali sesuai tanpa
terus tetap tidak tinggal
"""
_ENGLISH = """
able above academy access ace acorn act action active advance adventure after again agent air alarm album alive alpha
always amazing amazon amber anchor angel animal apex apple april aqua arc arch arena armour army arrow art ash ask
atlas august aurora autumn avocado away axe baby back bag bake baker ball balance bamboo banana band bank bar base basic
basket bass bath battery bay beach bean bear beat beautiful beauty beaver bed bee beer bell below belt bench berry best
beta better beyond big bike bill bird birthday bit bite black blade blend bliss block blood bloom blossom blue board
boat body bold bolt bone bonus book boost boot boss bottle bow bowl box boy brain branch brand brave bread break
breeze brick bridge bright bring brother brown brush bubble buddy bud build bull bullet bunny burn bus business butter
butterfly button buy cabin cake call calm camel camera camp can canal candle candy canvas canyon cap cape car caramel
card care cargo carrot cart case cash castle cat catch cave cedar center central century chain chair champion chance
change charge charm chase cheap check cheese cherry chest chicken chief child chill chip chocolate choice choose church
cinema circle city class classic clay clean clear clever cliff climb clip clock close cloud clover club coach coal coast
coat cobra cocoa coconut code coffee coin cold college colour color comet comfort comma common compass computer cook
cookie cool copper coral core corn corner cosmos cotton country couple course court cow coyote cozy craft crane crazy
cream creative credit crew crisp cross crow crown cruise crush crystal cube cup curry curve cute cycle daily dairy
daisy dance dark dash data date dawn day deal dear december deep deer delight delicious delta desert design desk dew
diamond digital dinner direct dirt discord discover dish dive doctor dog dollar dolphin domino door dot double dove
down dragon draw dream dress drift drink drive drop drum duck dune dust eagle early earth east easy eat echo eclipse
edge egg eight electric element elephant elite ember emerald empire energy engine enjoy epic equal escape essence eve
even evening ever every evergreen express eye face fair fairy faith falcon fall family fan fancy far farm fashion fast
fate father fawn feather february feel fern festival fiber field fiesta fig fight film final find fine fire first fish
fit five flag flame flash flat fleet flex flight flint float flow flower flux fly focus fog fold folk food foot force
forest forever forge fork form fort fortune forward fossil fountain four fox frame free freedom fresh friday friend
frog frost fruit fuel full fun funny future galaxy game gap garden garlic garnet gate gather gem general gentle genius
ghost giant gift ginger giraffe girl give glacier glad glass globe glory glow goat gold golden good goose grab grace
grain grand granite grape grass gravity great green grey grid grill grind grip grocery ground group grove grow guard
guide guitar gum habit hair half hall halo hammer hand happy harbor harbour hard hare harmony harvest hat haven hawk
hazel head health heart heat heaven help hemp hen herb heritage hero heron hidden high hill hint hive holiday holy home
honest honey hood hook hop hope horizon horn horse hot hotel hour house hub hug human hunter hush ice icon idea
ideal igloo image impact index indigo infinity ink inn inner inside instant iris iron island ivory ivy jacket jade
jaguar jam january jar jasmine jazz jelly jet jewel join jolly journey joy juice july jump june jungle junior just keen
keep kettle key kid kind king kingdom kiss kit kitchen kite kiwi knight knot koala lab label lace ladder lady lagoon
lake lamb lamp land lane lantern laptop large lark laser last laugh launch laundry laurel lava lavender law leaf league
lean learn leather legacy legend lemon leopard letter level liberty library life lift light lighthouse lily lime line
link lion liquid little live local lock loft logic lone long look loop lotus loud lounge love low loyal luck lucky
luna lunar lunch lush lux luxury magic magnet magnolia mail main major make mango map maple marble march mark market
mars marvel mask master match matrix may meadow meal meat medal meet mega mellow melody melon memory mercury mercy mesh
meta metal meteor metro milk mill mind mine mini mint miracle mirror mist mix mobile mocha modern moment monday money
monkey monster month moon moose morning moss mother motion motor mountain mouse move movie muse mushroom music must
mustard mystic naked name native nature navy near nest net network new news next nice night nine noble noodle north
notion nova november now number nut oak oasis oat ocean october off office oil old olive one onion online only onyx open
opera optimum oracle orange orbit orchard orchid order organic origin otter outdoor outlet outside oven owl own ox
oxygen oyster pack page paint palace palm pan panda panel panther paper paradise park parrot part party pass past path
patriot pattern pay peace peach peacock peak peanut pear pearl pebble pen pencil penguin people pepper perfect phoenix
phone photo piano pick picnic pie pig pilot pin pine pink pioneer pipe pixel pizza place plain plan plane planet plant
plate platinum play plaza please plum plus pocket poem point polar polo pond pony pool pop poppy port post pot potato
power premium present press pretty price pride prime prince princess print prism pro promise proud public pulse puma
pump punch pure purple quality quartz queen quest quick quiet rabbit race radar radio rain rainbow ranch range ranger
rapid raven ray razor ready real rebel red reef refresh relax relay remedy rent rescue reserve rest retro reward
rhythm rice rich ride ridge right ring rise river road robin robot rock rocket roll room root rope rose round route row
royal ruby run rush rustic saddle safari safe sage sail saint salad salmon salt same sand sandal sapphire satin
saturday saturn save savage school science scout sea seal search season seat secret seed sense september set seven shade
shadow share shark sharp sheep shell shelter shield shine ship shirt shoe shop shore short show sign silent silk silver
simple sing single sister six skin skip sky slack slate sleep slice slow smart smile smoke smooth snack snake snow soap
social sofa soft soil solar solid solo song sonic soul sound soup source south spa space spade spark sparrow special
speed spice spider spin spirit splash spoon sport spot spring sprout spruce square squirrel stable stage stamp star
start state station steam steel stem step stick stock stone stop store storm story stream street stripe strong studio
style sugar suit summer summit sun sunday sunflower sunlight sunny sunrise sunset super supreme sure surf surface
surge swan sweet swift switch sword system table tail tale talk tall tango target taste tea teal team tech temple ten
tent thanks theory thing think thread three thrive throne thunder thursday ticket tide tiger timber time tiny titan
toast today together token tomorrow tool top torch total touch tower town toy track trade trail train travel treasure
treat tree trek trend tribe tropical true trust try tulip tuesday tuna turtle twin twist twitter two ultra umbrella
uncle
under union unique unit united unity universe urban valley value vanilla vault vega velvet venture venus vibe victor
victory view villa village vine vintage violet virgin virtue visa vision vista vital vivid voice volt voyage wagon
wake walk wall walnut war warm wash watch water wave way web wedding wednesday week west whale wheat wheel whisper
white wide wild will willow wind window wine wing winter wire wise wish wolf woman wonder wood word work world worth
yard year yellow yes yoga young zebra zen zenith zero zest zone zoo zoom
"""
WORDS = {"id": frozenset(_INDONESIAN.split()), "en": frozenset(_ENGLISH.split())}
_ALL = sorted(STOP.union(*WORDS.values()))


def everyday(word: str) -> tuple[str, ...]:
    """The languages in which a folded word is one of every day; a `#` before it makes no difference.

    >>> everyday("senja"), everyday("#gap"), everyday("melon"), everyday("quovira")
    (('id',), ('en',), ('id', 'en'), ())
    """
    return tuple(lang for lang, known in WORDS.items() if word.removeprefix("#") in known)


def begun(beginning: str) -> str:
    """The first everyday word that begins so and is longer, or nothing.

    >>> begun("oran"), begun("quov")
    ('orang', '')
    """
    start = beginning.removeprefix("#")
    at = bisect_right(_ALL, start)
    return _ALL[at] if at < len(_ALL) and _ALL[at].startswith(start) else ""
